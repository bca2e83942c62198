#import kv_rw_u64
#import rope_attention_body
