#import words_u64
#import x_u64
#import norm_u64
#import matvec_subgroup_body
