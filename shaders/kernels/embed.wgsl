#import words_u32
#import embed_body
