#import words_u32
#import x_u32
#import matmul_int8_subgroup_body
