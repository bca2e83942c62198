//! SentencePiece vocabularies against reference ids, and what must hold for any text, any token and
//! any file.

use halfbyte::{ChatTemplate, Error, Gguf, Message, Prompt, RenderOptions, StreamDecoder, Token, Tokenizer};
use halfbyte_tests::fixtures;
use halfbyte_tests::gguf_writer::GgufWriter;
use halfbyte_tests::random::Random;
use serde_json::Value;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// A vocabulary in the making: `<unk>`, `<s>` and `</s>`, then what a test adds.
#[derive(Clone)]
struct Toy {
    tokens: Vec<String>,
    types: Vec<i32>,
    scores: Vec<f32>,
    /// Any other metadata.
    rest: GgufWriter,
}

impl Toy {
    fn new() -> Toy {
        let rest = GgufWriter::new()
            .u32("tokenizer.ggml.unknown_token_id", 0)
            .u32("tokenizer.ggml.bos_token_id", 1)
            .u32("tokenizer.ggml.eos_token_id", 2);
        let mut toy = Toy { tokens: Vec::new(), types: Vec::new(), scores: Vec::new(), rest };
        toy.add("<unk>", UNKNOWN, 0.0);
        toy.add("<s>", CONTROL, 0.0);
        toy.add("</s>", CONTROL, 0.0);
        toy
    }

    /// One that puts no space in front of a text, with these normal tokens and their scores.
    fn with(pieces: &[(&str, f32)]) -> Toy {
        let mut toy = Toy::new();
        toy.rest = toy.rest.bool("tokenizer.ggml.add_space_prefix", false);
        for (piece, score) in pieces {
            toy.add(piece, NORMAL, *score);
        }
        toy
    }

    fn add(&mut self, spelling: &str, token_type: i32, score: f32) -> Token {
        self.tokens.push(spelling.into());
        self.types.push(token_type);
        self.scores.push(score);
        self.tokens.len() as Token - 1
    }

    fn add_bytes(&mut self) {
        for byte in 0..=255 {
            self.add(&format!("<0x{byte:02X}>"), BYTE, 0.0);
        }
    }

    fn gguf(&self) -> Gguf {
        self.gguf_with(|file| file.f32s("tokenizer.ggml.scores", &self.scores))
    }

    fn gguf_with(&self, scores: impl Fn(GgufWriter) -> GgufWriter) -> Gguf {
        let tokens: Vec<&str> = self.tokens.iter().map(String::as_str).collect();
        let file = self.rest.clone().str("tokenizer.ggml.model", "llama");
        let file = file.strs("tokenizer.ggml.tokens", &tokens).i32s("tokenizer.ggml.token_type", &self.types);
        Gguf::from_bytes(scores(file).build()).unwrap()
    }

    fn build(&self) -> Tokenizer {
        Tokenizer::from_gguf(&self.gguf()).unwrap()
    }
}

/// The fixture `name`: a vocabulary and what SentencePiece itself makes of texts.
fn fixture(name: &str) -> (Gguf, Tokenizer, Value) {
    let gguf = Gguf::open(fixtures::path(&format!("tokenizer/{name}.gguf"))).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    let json = std::fs::read_to_string(fixtures::path(&format!("tokenizer/{name}.json"))).unwrap();
    (gguf, tokenizer, serde_json::from_str(&json).unwrap())
}

fn streamed(tokenizer: &Tokenizer, mut decoder: StreamDecoder, ids: &[Token]) -> String {
    let mut text = String::new();
    for &id in ids {
        text += &decoder.push(tokenizer, id).unwrap();
    }
    text + &decoder.finish()
}

fn pieces<'t>(tokenizer: &'t Tokenizer, text: &str) -> Vec<&'t str> {
    let ids = tokenizer.encode(text, false).unwrap();
    ids.iter().map(|&id| tokenizer.piece(id).unwrap()).collect()
}

fn refusal(gguf: &Gguf) -> Error {
    match Tokenizer::from_gguf(gguf) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => error,
    }
}

#[test]
fn ids_and_texts_are_those_of_the_reference() {
    for name in ["gemma", "phi3", "qwen2"] {
        let (_, tokenizer, reference) = fixture(name);
        let texts = reference["texts"].as_array().unwrap();
        assert_eq!(texts.len(), 14);
        for case in texts {
            let text = case["text"].as_str().unwrap();
            let ids: Vec<Token> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(tokenizer.encode(text, true).unwrap(), ids, "{name} {text:?}");
            // The reference spells control tokens out, the decoder leaves them away.
            let spoken: Vec<Token> = ids.iter().copied().filter(|&id| !tokenizer.is_control(id)).collect();
            if spoken == ids {
                assert_eq!(tokenizer.decode(&ids), case["decoded"].as_str().unwrap(), "{name}");
            }
            assert_eq!(streamed(&tokenizer, StreamDecoder::new(), &ids), tokenizer.decode(&ids), "{name}");
        }
    }
}

#[test]
fn a_chat_begins_with_one_bos_whether_or_not_the_template_writes_it() {
    for (name, bos) in [("gemma", 2), ("phi3", 1)] {
        let (gguf, tokenizer, reference) = fixture(name);
        let messages: Vec<Message> = serde_json::from_value(reference["chat"]["messages"].clone()).unwrap();
        let template = ChatTemplate::from_gguf(&gguf).unwrap().unwrap();
        let prompt = template.render(&messages, &RenderOptions::default()).unwrap();
        // The reference calls it <bos> for Gemma; both vocabularies spell it <s>.
        let rendered = reference["chat"]["rendered"].as_str().unwrap().replace("<bos>", "<s>");
        assert_eq!(prompt.text(), rendered);
        let ids = tokenizer.encode_prompt(&prompt).unwrap();
        assert_eq!(ids.iter().filter(|&&id| id == bos).count(), 1, "{name}");
        assert_eq!(ids[0], bos);
        let plain = tokenizer.encode_prompt(&Prompt::plain("ships")).unwrap();
        assert_eq!(plain[0], bos);
        assert_eq!(plain[1..], tokenizer.encode("ships", false).unwrap());
    }
}

#[test]
fn bos_is_added_unless_the_file_says_otherwise() {
    assert!(Toy::new().build().adds_bos());
    let mut toy = Toy::new();
    toy.rest =
        toy.rest.bool("tokenizer.ggml.add_bos_token", false).bool("tokenizer.ggml.add_eos_token", true);
    let tokenizer = toy.build();
    assert!(!tokenizer.adds_bos());
    let ids = tokenizer.encode_prompt(&Prompt::plain("a")).unwrap();
    assert!(!ids.contains(&1) && !ids.contains(&2), "a prompt is never ended: {ids:?}");
}

#[test]
fn any_text_survives_and_never_becomes_a_control_token() {
    for name in ["gemma", "phi3"] {
        let (_, tokenizer, _) = fixture(name);
        let mut random = Random::new(1);
        for _ in 0..2000 {
            let text =
                random.text() + ["", "<s>", "</s>", "<unk>", "<0x41>", "<end_of_turn>"][random.below(6)];
            let ids = tokenizer.encode(&text, false).unwrap();
            // U+2581 is how these vocabularies spell a space.
            assert_eq!(tokenizer.decode(&ids), text.replace('▁', " "), "{name}");
            assert!(!ids.iter().any(|&id| tokenizer.is_control(id)), "{name} {text:?}");
        }
    }
}

#[test]
fn streamed_text_comes_in_whole_characters_and_is_all_of_it() {
    for name in ["gemma", "phi3"] {
        let (_, tokenizer, _) = fixture(name);
        let mut random = Random::new(2);
        for _ in 0..1000 {
            let text = random.text().replace(['\u{FFFD}', '▁'], "");
            let mut decoder = StreamDecoder::new();
            let mut whole = String::new();
            for id in tokenizer.encode(&text, false).unwrap() {
                let part = decoder.push(&tokenizer, id).unwrap();
                assert!(!part.contains('\u{FFFD}'), "half a character of {text:?}");
                whole += &part;
            }
            assert_eq!(decoder.finish(), "");
            assert_eq!(whole, text);
        }
    }
}

#[test]
fn any_tokens_stream_to_what_they_decode_to() {
    for name in ["gemma", "phi3"] {
        let (_, tokenizer, _) = fixture(name);
        let mut random = Random::new(3);
        for _ in 0..2000 {
            let ids: Vec<Token> =
                (0..random.below(12)).map(|_| random.below(tokenizer.vocab_size()) as Token).collect();
            assert_eq!(streamed(&tokenizer, StreamDecoder::new(), &ids), tokenizer.decode(&ids), "{ids:?}");
        }
    }
}

#[test]
fn the_space_in_front_belongs_to_the_encoding_only_where_a_text_begins() {
    let (_, tokenizer, _) = fixture("phi3");
    let ids = tokenizer.encode("the ships", false).unwrap();
    assert_eq!(tokenizer.piece(ids[0]), Some("▁the"));
    assert_eq!(tokenizer.decode(&ids), "the ships");
    assert_eq!(streamed(&tokenizer, StreamDecoder::new(), &ids), "the ships");
    assert_eq!(streamed(&tokenizer, StreamDecoder::in_text(), &ids), " the ships");
    // A control token in front is no text.
    let ids = [&[1], &ids[..]].concat();
    assert_eq!(streamed(&tokenizer, StreamDecoder::new(), &ids), "the ships");

    let (_, tokenizer, _) = fixture("gemma");
    let ids = tokenizer.encode(" the", false).unwrap();
    assert_eq!(tokenizer.decode(&ids), " the", "it puts none in front");
}

#[test]
fn a_decoder_that_finished_begins_another_text() {
    let (_, tokenizer, _) = fixture("phi3");
    let ids = tokenizer.encode("the", false).unwrap();
    let mut decoder = StreamDecoder::in_text();
    assert_eq!(decoder.push(&tokenizer, ids[0]).unwrap(), " the");
    decoder.finish();
    assert_eq!(decoder.push(&tokenizer, ids[0]).unwrap(), "the");
}

#[test]
fn the_highest_score_is_merged_first_and_of_equal_ones_the_leftmost() {
    let letters = [("a", -9.0), ("b", -9.0), ("c", -9.0)];
    let with = |more: &[(&str, f32)]| Toy::with(&[&letters[..], more].concat()).build();
    let text = "abc";
    assert_eq!(pieces(&with(&[("ab", -2.0), ("bc", -1.0)]), text), ["a", "bc"]);
    assert_eq!(pieces(&with(&[("ab", -1.0), ("bc", -2.0)]), text), ["ab", "c"]);
    assert_eq!(pieces(&with(&[("ab", -1.0), ("bc", -1.0)]), text), ["ab", "c"]);
    assert_eq!(pieces(&with(&[("ab", -0.0), ("bc", 0.0)]), text), ["ab", "c"], "-0 is 0");
    assert_eq!(pieces(&with(&[("bc", f32::NEG_INFINITY)]), text), ["a", "bc"]);
    // A union counts that only becomes possible by another, and one of letters that are no tokens.
    assert_eq!(pieces(&with(&[("ab", -5.0), ("abc", -1.0)]), text), ["abc"]);
    assert_eq!(pieces(&with(&[("xy", -1.0)]), "xya"), ["xy", "a"]);
    // Overlapping pairs of equal score.
    assert_eq!(pieces(&with(&[("aa", -1.0)]), "aaaaa"), ["aa", "aa", "a"]);
}

#[test]
fn what_is_no_piece_is_spelled_in_bytes_or_is_unknown() {
    let mut toy = Toy::with(&[("a", -1.0)]);
    assert_eq!(toy.build().encode("a😀éa", false).unwrap(), [3, 0, 3], "one for the run");
    toy.add_bytes();
    let tokenizer = toy.build();
    assert_eq!(pieces(&tokenizer, "aé"), ["a", "<0xC3>", "<0xA9>"]);
    assert_eq!(tokenizer.decode(&tokenizer.encode("a\0é😀", false).unwrap()), "a\0é😀");
    assert_eq!(pieces(&tokenizer, "<0xC3>").len(), 6, "a spelling is no byte");
}

#[test]
fn without_an_unknown_token_what_cannot_be_spelled_is_left_out() {
    let file = GgufWriter::new()
        .str("tokenizer.ggml.model", "llama")
        .strs("tokenizer.ggml.tokens", &["a", "▁"])
        .f32s("tokenizer.ggml.scores", &[0.0, 0.0]);
    let tokenizer = Tokenizer::from_gguf(&Gguf::from_bytes(file.build()).unwrap()).unwrap();
    assert_eq!(tokenizer.encode("éa", false).unwrap(), [1, 0], "with a space in front by default");
    assert_eq!(tokenizer.encode("", false).unwrap(), [0; 0]);
}

#[test]
fn user_defined_tokens_are_cut_out_first_the_longest_at_each_place() {
    let mut toy = Toy::with(&[("▁", -9.0), ("a", -9.0), ("▁a", -1.0), ("\n", -9.0)]);
    let two = toy.add("\n\n", USER_DEFINED, 0.0);
    let three = toy.add("\n\n\n", USER_DEFINED, 0.0);
    let spaces = toy.add("  ", USER_DEFINED, 0.0);
    let spelled = toy.add("▁▁▁", USER_DEFINED, 0.0);
    let tokenizer = toy.build();
    assert_eq!(tokenizer.encode("\n\n\n\n\n", false).unwrap(), [three, two]);
    assert_eq!(tokenizer.encode("  a", false).unwrap(), [spaces, 4]);
    assert_eq!(tokenizer.encode("    a", false).unwrap(), [spelled, 5]);
    assert_eq!(tokenizer.decode(&[spelled, 5, spaces]), "    a  ");
}

#[test]
fn merges_cannot_make_a_control_token() {
    let mut toy = Toy::with(&[("a", -9.0), ("b", -9.0), ("abb", -1.0)]);
    let control = toy.add("ab", CONTROL, -1.0);
    let tokenizer = toy.build();
    assert_eq!(pieces(&tokenizer, "ab"), ["a", "b"]);
    assert_eq!(pieces(&tokenizer, "abb"), ["a", "b", "b"]);
    assert_eq!(tokenizer.encode("ab", true).unwrap(), [control]);
    assert_eq!(tokenizer.decode(&[control]), "");
}

#[test]
fn a_space_is_put_in_front_after_every_control_token() {
    let (_, tokenizer, _) = fixture("phi3");
    let ids = tokenizer.encode("<s>the</s>the", true).unwrap();
    let the = tokenizer.encode("the", false).unwrap();
    assert_eq!(ids, [&[1], &the[..], &[2], &the[..]].concat());
}

#[test]
fn phi3_drops_white_space_after_the_tokens_of_a_turn() {
    let mut toy = Toy::with(&[("\n", -9.0), ("a", -9.0)]);
    let user = toy.add("<|user|>", CONTROL, 0.0);
    let end = toy.add("<|endoftext|>", CONTROL, 0.0);
    let text = "<|user|>\n\na<|endoftext|>\n<|user|>\n";
    assert_eq!(toy.build().encode(text, true).unwrap(), [user, 3, 3, 4, end, 3, user, 3]);
    toy.rest = toy.rest.str("general.architecture", "phi3");
    assert_eq!(toy.build().encode(text, true).unwrap(), [user, 4, end, 3, user]);
}

#[test]
fn of_equal_spellings_the_later_one_counts() {
    let mut toy = Toy::with(&[("a", -1.0), ("a", -2.0)]);
    let first = toy.add("<x>", USER_DEFINED, 0.0);
    let second = toy.add("<x>", USER_DEFINED, 0.0);
    let tokenizer = toy.build();
    assert_eq!(tokenizer.encode("a<x>", false).unwrap(), [4, second]);
    assert_eq!(tokenizer.decode(&[3, first]), "a<x>");
}

#[test]
fn broken_metadata_is_a_typed_error() {
    let sound = Toy::with(&[("a", -1.0), ("b", -2.0)]);
    let broken = |change: fn(&mut Toy)| {
        let mut toy = sound.clone();
        change(&mut toy);
        toy.gguf()
    };
    for (what, gguf) in [
        ("no tokenizer.ggml.scores", sound.gguf_with(|file| file)),
        ("scores has 4 entries for 5 tokens", broken(|toy| _ = toy.scores.pop())),
        ("scores has 6 entries for 5 tokens", broken(|toy| toy.scores.push(0.0))),
        ("the score of token 3 is not a number", broken(|toy| toy.scores[3] = f32::NAN)),
        ("token_type has 4 entries", broken(|toy| _ = toy.types.pop())),
        ("token 4 has the type -1", broken(|toy| toy.types[4] = -1)),
        ("token 4 stands for a byte", broken(|toy| toy.types[4] = BYTE)),
        ("token 5 stands for a byte", broken(|toy| _ = toy.add("<0x+1>", BYTE, 0.0))),
        ("token 5 stands for a byte", broken(|toy| _ = toy.add("<0x100>", BYTE, 0.0))),
        ("unknown_token_id is 5", {
            let mut toy = sound.clone();
            toy.rest = GgufWriter::new().u32("tokenizer.ggml.unknown_token_id", 5);
            toy.gguf()
        }),
        ("no tokenizer.ggml.tokens", {
            let file = GgufWriter::new().str("tokenizer.ggml.model", "llama");
            Gguf::from_bytes(file.strs("tokenizer.ggml.tokens", &[]).build()).unwrap()
        }),
    ] {
        let error = refusal(&gguf);
        assert!(matches!(error, Error::Tokenizer(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(what), "{error} lacks {what}");
    }
    let error = refusal(&sound.gguf_with(|file| file.i32s("tokenizer.ggml.scores", &[1, 2, 3, 4, 5])));
    assert!(matches!(error, Error::Gguf(_)), "{error}");
}

#[test]
fn long_texts_of_one_kind_are_cut_quickly_and_survive() {
    let (_, tokenizer, _) = fixture("phi3");
    for unit in ["a", " ", "\n", "<", "1", "é", "<s", "the lighthouse "] {
        let text = unit.repeat(50_000);
        let ids = tokenizer.encode(&text, true).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

/// The merges follow from the scores, so a vocabulary of Gemma's size is one pass over its tokens: 0.1 s,
/// and the limit leaves room for a busy machine and a debug build.
#[test]
fn a_vocabulary_of_262_144_tokens_is_built_at_once() {
    let mut toy = Toy::with(&[]);
    toy.add_bytes();
    for number in toy.tokens.len()..262_144 {
        toy.add(&format!("▁{number:x}"), NORMAL, -(number as f32));
    }
    let gguf = toy.gguf();
    let clock = std::time::Instant::now();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    assert!(clock.elapsed().as_secs_f64() < 2.0, "{:?}", clock.elapsed());
    assert_eq!(tokenizer.vocab_size(), 262_144);
}
