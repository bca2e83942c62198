#import words_texture
#import embed_body
