#import words_texture
#import matvec_int8_subgroup_body
