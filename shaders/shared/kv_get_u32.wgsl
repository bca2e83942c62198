// The reads of kv_u32 and kv_rw_u32.
fn k_at(i: u32) -> vec4<f32> {
    return k_cache[i];
}

fn v_at(i: u32) -> vec4<f32> {
    return v_cache[i];
}
