#import words_u64
#import x_u64
#import matmul_int8_subgroup_body
