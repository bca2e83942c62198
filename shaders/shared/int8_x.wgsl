// Loads a block of the activations that int8_block.wgsl describes.
// `at` is the first word of the block.
fn int_x(at: u32) -> IntX {
    let factors = bitcast<vec4<u32>>(x_at(at + 2u));
    return IntX(
        bitcast<vec4<u32>>(x_at(at)),
        bitcast<vec4<u32>>(x_at(at + 1u)),
        bitcast<f32>(factors.x),
        bitcast<vec2<i32>>(factors.yz),
    );
}
