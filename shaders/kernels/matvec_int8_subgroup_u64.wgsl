#import words_u64
#import matvec_int8_subgroup_body
