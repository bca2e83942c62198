// Reads of the cache as 64-bit words, four elements at a time; see words_u64.wgsl.
@group(0) @binding(2) var<storage, read> k_cache: array<vec2<u64>>;
@group(0) @binding(3) var<storage, read> v_cache: array<vec2<u64>>;

#import kv_get_u64
