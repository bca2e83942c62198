#import words_u32
#import matmul_subgroup_body
