#import kv_rw_texture
#import rope_attention_body
