// The reads of kv_u64 and kv_rw_u64.
#import split_u64

fn k_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(split(k_cache[i]));
}

fn v_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(split(v_cache[i]));
}
