// What the weights of a matmul meet; the constant INPUT.
const PLAIN = 0u;
const NORMED = 1u;
const GATED = 2u;
const GELU_GATED = 3u;
