// The cache as 64-bit words, read and written; see words_u64.wgsl.
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec2<u64>>;
@group(0) @binding(3) var<storage, read_write> v_cache: array<u64>;

#import kv_get_u64

fn word(low: f32, high: f32) -> u64 {
    return u64(bitcast<u32>(low)) | (u64(bitcast<u32>(high)) << 32u);
}

fn put_k(i: u32, k: vec4<f32>) {
    k_cache[i] = vec2<u64>(word(k.x, k.y), word(k.z, k.w));
}

fn put_v(i: u32, v: vec2<f32>) {
    v_cache[i] = word(v.x, v.y);
}
