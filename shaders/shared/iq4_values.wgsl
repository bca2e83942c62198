// The 16 values of IQ4_NL and IQ4_XS, -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89
// and 113, for nibbles as 1 + nibble / 16: a polynomial that is less than 0.44 off, rounded. A look-up
// would be a load for each weight.
fn iq4_values(x: vec4<f32>) -> vec4<f32> {
    var y = fma(x, vec4<f32>(103.9429), vec4<f32>(-288.4416));
    y = fma(x, y, vec4<f32>(-109.5461));
    y = fma(x, y, vec4<f32>(1055.426));
    y = fma(x, y, vec4<f32>(-887.9488));
    return round(y);
}
