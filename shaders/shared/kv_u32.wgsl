// Reads of the cache as 32-bit words, four elements at a time.
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<f32>>;

#import kv_get_u32
