#import kv_texture
#import attention_tile_body
