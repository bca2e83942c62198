#import words_u32
#import matvec_int8_subgroup_body
