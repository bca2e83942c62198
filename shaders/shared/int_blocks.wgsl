// Types whose blocks of 32 have one scale and one offset.
fn int_scales(b: Block) -> vec2<i32> {
    return vec2<i32>(1);
}

fn int_offsets(b: Block) -> vec2<i32> {
    return vec2<i32>(1);
}
