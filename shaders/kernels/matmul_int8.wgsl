// matmul of activations that quantize wrote, without subgroups: a lane owns ROWS rows, a workgroup WORKGROUP * ROWS rows of TOKENS tokens;
// every lane reads the same x.
#import words_u32
#import x_u32
#import weight
#import layout
#import int8_block
#import int8_x
#import matmul_io

override WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let all_lane = group.x * WORKGROUP + lane;
    let first_token = group.y * TOKENS;
    let n_blocks = p.n_cols / 32u;
    var at: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        at[r] = row_begin(min(row_of(all_lane, r, ROWS), p.n_rows - 1u), p.n_cols);
    }
    var sum: array<f32, TOKENS * ROWS>;
    var offset = 0u;
    for (var first = 0u; first < n_blocks; first += SUPER) {
        var scales: array<Scales, ROWS>;
        let n = min(SUPER, n_blocks - first);
        for (var r = 0u; r < ROWS; r++) { scales[r] = load_scales(at[r] + offset, n); }
        offset += scale_words(n) * NEXT;
        for (var k = 0u; k < n; k++) {
            var w: array<IntBlock, ROWS>;
            for (var r = 0u; r < ROWS; r++) {
                w[r] = int_block(scales[r], k, load_block(scales[r], at[r] + offset, k));
            }
            for (var t = 0u; t < TOKENS; t++) {
                let token = min(first_token + t, p.n_tokens - 1u);
                let x = int_x((token * n_blocks + first + k) * 3u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = int_dot(w[r], x, sum[t * ROWS + r]); }
            }
        }
        offset += quant_words(n) * NEXT;
    }
    for (var t = 0u; t < TOKENS; t++) {
        for (var r = 0u; r < ROWS; r++) {
            store(first_token + t, row_of(all_lane, r, ROWS), sum[t * ROWS + r]);
        }
    }
}
