#import kv_u32
#import attention_tile_body
