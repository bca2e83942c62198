#import kv_rw_texture
#import rope_kv_body
