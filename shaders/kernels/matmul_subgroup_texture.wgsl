#import words_texture
#import x_texture
#import matmul_subgroup_body
