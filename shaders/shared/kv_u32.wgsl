// Reads of the cache as 32-bit words: four elements of a key, a pair of elements of a value.
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v_cache: array<vec2<f32>>;

#import kv_get_u32
