// The reads of kv_u64 and kv_rw_u64.
fn k_at(i: u32) -> vec4<f32> {
    let k = k_cache[i];
    return bitcast<vec4<f32>>(vec4<u32>(u32(k.x), u32(k.x >> 32u), u32(k.y), u32(k.y >> 32u)));
}

fn v_at(i: u32) -> vec2<f32> {
    let v = v_cache[i];
    return bitcast<vec2<f32>>(vec2<u32>(u32(v), u32(v >> 32u)));
}
