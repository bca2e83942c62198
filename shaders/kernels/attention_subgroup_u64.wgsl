#import kv_u64
#import attention_tile_body
