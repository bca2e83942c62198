// The cache as 32-bit words, read and written, four elements at a time.
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> v_cache: array<vec4<f32>>;

#import kv_get_u32

fn put_k(i: u32, k: vec4<f32>) {
    k_cache[i] = k;
}

fn put_v(i: u32, v: vec4<f32>) {
    v_cache[i] = v;
}
