#import words_u32
#import x_u32
#import norm_u32
#import matvec_subgroup_body
