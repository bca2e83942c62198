#import kv_rw_u32
#import rope_kv_body
