#import words_texture
#import x_texture
#import matmul_int8_subgroup_body
