// The cache as 64-bit words, read and written, four elements at a time; see words_u64.wgsl.
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec2<u64>>;
@group(0) @binding(3) var<storage, read_write> v_cache: array<vec2<u64>>;

#import kv_get_u64

fn joined(v: vec4<f32>) -> vec2<u64> {
    let bits = bitcast<vec4<u32>>(v);
    return vec2<u64>(u64(bits.x) | (u64(bits.y) << 32u), u64(bits.z) | (u64(bits.w) << 32u));
}

fn put_k(i: u32, k: vec4<f32>) {
    k_cache[i] = joined(k);
}

fn put_v(i: u32, v: vec4<f32>) {
    v_cache[i] = joined(v);
}
