#import kv_rw_u32
#import rope_attention_body
