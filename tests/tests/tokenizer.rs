//! The tokenizer against reference ids, and what must hold for any text, any token and any file.

mod toy_vocabulary;

use halfbyte::{Error, Gguf, Prompt, StreamDecoder, Token, Tokenizer};
use halfbyte_tests::gguf_writer::GgufWriter;
use halfbyte_tests::random::Random;
use serde_json::Value;
use toy_vocabulary::{CONTROL, NORMAL, ToyVocabulary, USER_DEFINED};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tiny/llama-s.Q4_0.gguf");
const REFERENCE: &str = include_str!("../fixtures/tokenizer/llama-s.json");

/// Ids in [`FILE`].
const IM_START: Token = 315;
const IM_END: Token = 316;
const BOS: Token = 317;

fn fixture() -> Tokenizer {
    Tokenizer::from_gguf(&Gguf::open(FILE).unwrap()).unwrap()
}

fn build(toy: &ToyVocabulary) -> Tokenizer {
    Tokenizer::from_gguf(&toy.gguf()).unwrap()
}

/// Adds a normal token and the merge that makes it.
fn add_merge(toy: &mut ToyVocabulary, left: &str, right: &str) {
    toy.merges.push(format!("{left} {right}"));
    toy.add(&format!("{left}{right}"), NORMAL);
}

fn refusal(gguf: &Gguf) -> Error {
    match Tokenizer::from_gguf(gguf) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => error,
    }
}

#[test]
fn ids_are_those_of_the_reference() {
    let tokenizer = fixture();
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let texts = reference["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 14);
    for case in texts {
        let text = case["text"].as_str().unwrap();
        let ids: Vec<Token> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap(), ids, "{text:?}");
        let spoken = text.replace("<|im_start|>", "").replace("<|im_end|>", "");
        assert_eq!(tokenizer.decode(&ids), spoken);
    }
}

#[test]
fn any_text_survives_and_never_becomes_a_control_token() {
    let tokenizer = fixture();
    let mut random = Random::new(1);
    for _ in 0..3000 {
        let text = random.text();
        let ids = tokenizer.encode(&text, false).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
        assert!(!ids.iter().any(|&id| tokenizer.is_control(id)), "{text:?}");
    }
}

#[test]
fn streamed_text_comes_in_whole_characters_and_is_all_of_it() {
    let tokenizer = fixture();
    let mut random = Random::new(2);
    for _ in 0..1000 {
        let text = random.text().replace('\u{FFFD}', "");
        let mut decoder = StreamDecoder::new();
        let mut streamed = String::new();
        for id in tokenizer.encode(&text, true).unwrap() {
            let part = decoder.push(&tokenizer, id).unwrap();
            assert!(!part.contains('\u{FFFD}'), "half a character of {text:?}");
            streamed += &part;
        }
        assert_eq!(decoder.finish(), "");
        assert_eq!(streamed, text.replace("<|im_end|>", ""));
    }
}

#[test]
fn any_tokens_stream_to_what_they_decode_to() {
    let tokenizer = fixture();
    let mut random = Random::new(3);
    for _ in 0..3000 {
        // Bytes that begin, continue and break characters.
        let ids: Vec<Token> =
            (0..random.below(12)).map(|_| random.below(tokenizer.vocab_size()) as Token).collect();
        let mut decoder = StreamDecoder::new();
        let mut streamed = String::new();
        for &id in &ids {
            streamed += &decoder.push(&tokenizer, id).unwrap();
        }
        streamed += &decoder.finish();
        assert_eq!(streamed, tokenizer.decode(&ids), "{ids:?}");
    }
}

#[test]
fn an_emoji_waits_for_its_last_byte() {
    let tokenizer = fixture();
    let ids = tokenizer.encode("😀", false).unwrap();
    assert_eq!(ids.len(), 4, "one token a byte");
    let mut decoder = StreamDecoder::new();
    for &id in &ids[..3] {
        assert_eq!(decoder.push(&tokenizer, id).unwrap(), "");
    }
    assert_eq!(decoder.clone().finish(), "\u{FFFD}");
    assert_eq!(decoder.push(&tokenizer, ids[3]).unwrap(), "😀");
}

#[test]
fn a_token_beyond_the_vocabulary_is_refused_and_nothing_is_lost() {
    let tokenizer = fixture();
    let ids = tokenizer.encode("é", false).unwrap();
    let mut decoder = StreamDecoder::new();
    decoder.push(&tokenizer, ids[0]).unwrap();
    let beyond = tokenizer.vocab_size() as Token;
    let error = decoder.push(&tokenizer, beyond).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert_eq!(decoder.push(&tokenizer, ids[1]).unwrap(), "é");
    assert_eq!(tokenizer.decode(&[ids[0], beyond, ids[1]]), "é");
}

#[test]
fn special_tokens_have_their_roles() {
    let tokenizer = fixture();
    assert_eq!(tokenizer.vocab_size(), 320);
    assert_eq!(tokenizer.bos(), Some(BOS));
    assert!(tokenizer.adds_bos());
    let ends: Vec<Token> = (0..400).filter(|&id| tokenizer.is_end(id)).collect();
    assert_eq!(ends, [314, IM_END], "<|endoftext|> and <|im_end|>");
    let controls: Vec<Token> = (0..400).filter(|&id| tokenizer.is_control(id)).collect();
    assert_eq!(controls, [314, 315, 316, 317, 318, 319]);
    assert_eq!(tokenizer.piece(258), Some("Ġthe"));
    assert_eq!(tokenizer.piece(320), None);
}

#[test]
fn a_plain_prompt_begins_with_bos_and_holds_no_other_control_token() {
    let tokenizer = fixture();
    let prompt = Prompt::plain("<|begin_of_text|>the<|im_end|>");
    let ids = tokenizer.encode_prompt(&prompt).unwrap();
    assert_eq!(ids[0], BOS);
    assert!(!ids[1..].iter().any(|&id| tokenizer.is_control(id)));
    assert_eq!(tokenizer.decode(&ids), prompt.text());
    let special = tokenizer.encode("<|im_start|>the", true).unwrap();
    assert_eq!(special, [IM_START, 83, 256], "and encode adds none");
}

#[test]
fn bos_is_added_where_the_file_or_its_pre_tokenizer_says_so() {
    for (pre, said, expected) in [
        ("gpt-2", None, false),
        ("gpt-2", Some(true), true),
        ("llama-bpe", None, true),
        ("llama-bpe", Some(false), false),
    ] {
        let mut toy = ToyVocabulary::new();
        toy.pre = pre;
        let bos = toy.add("<s>", CONTROL);
        toy.rest = toy.rest.u32("tokenizer.ggml.bos_token_id", bos);
        if let Some(said) = said {
            toy.rest = toy.rest.bool("tokenizer.ggml.add_bos_token", said);
        }
        let tokenizer = build(&toy);
        assert_eq!(tokenizer.adds_bos(), expected, "{pre} {said:?}");
        let ids = tokenizer.encode_prompt(&Prompt::plain("a")).unwrap();
        assert_eq!(ids.contains(&bos), expected);
    }
}

/// The expected words follow from the patterns in the models' `tokenizer.json`.
#[test]
fn digits_are_grouped_as_the_pre_tokenizer_says() {
    for (pre, words) in [
        ("gpt-2", &["12345", "Ġ67"][..]),
        ("smollm", &["1", "2", "3", "4", "5", "Ġ", "6", "7"]),
        ("llama-bpe", &["123", "45", "Ġ", "67"]),
        ("qwen2", &["1", "2", "3", "4", "5", "Ġ", "6", "7"]),
        ("falcon", &["123", "45", "Ġ67"]),
        ("tekken", &["1", "2", "3", "4", "5", "Ġ", "6", "7"]),
        ("gpt-4o", &["123", "45", "Ġ", "67"]),
        ("deepseek-llm", &["12345", "Ġ", "67"]),
        ("deepseek-coder", &["1", "2", "3", "4", "5", "Ġ", "6", "7"]),
    ] {
        let mut toy = ToyVocabulary::new();
        toy.pre = pre;
        for (left, right) in [("1", "2"), ("12", "3"), ("4", "5"), ("123", "45"), ("6", "7")] {
            add_merge(&mut toy, left, right);
        }
        add_merge(&mut toy, "Ġ", "67");
        let tokenizer = build(&toy);
        let ids = tokenizer.encode("12345 67", false).unwrap();
        let pieces: Vec<&str> = ids.iter().filter_map(|&id| tokenizer.piece(id)).collect();
        assert_eq!(pieces, words, "{pre}");
    }
}

/// The expected words follow from the patterns: before a capital letter a new word begins in the newer
/// ones, a contraction is part of the word before it in GPT-4o and none at all in DeepSeek Coder.
#[test]
fn words_are_cut_as_the_pre_tokenizer_says() {
    for (pre, words) in [
        ("tekken", &["New", "Line", "'s"][..]),
        ("gpt-4o", &["New", "Line's"]),
        ("llama-bpe", &["NewLine", "'s"]),
        ("deepseek-coder", &["NewLine", "'", "s"]),
    ] {
        let mut toy = ToyVocabulary::new();
        toy.pre = pre;
        for (left, right) in [("N", "e"), ("Ne", "w"), ("L", "i"), ("Li", "n"), ("Lin", "e")] {
            add_merge(&mut toy, left, right);
        }
        for (left, right) in [("New", "Line"), ("'", "s"), ("Line", "'s"), ("NewLine", "'s")] {
            add_merge(&mut toy, left, right);
        }
        let tokenizer = build(&toy);
        let ids = tokenizer.encode("NewLine's", false).unwrap();
        let pieces: Vec<&str> = ids.iter().filter_map(|&id| tokenizer.piece(id)).collect();
        assert_eq!(pieces, words, "{pre}");
    }
}

#[test]
fn a_token_that_ends_a_turn_is_a_control_token_whatever_the_file_calls_it() {
    let mut toy = ToyVocabulary::new();
    let end = toy.add("<end_of_turn>", USER_DEFINED);
    let strike = toy.add("</s>", USER_DEFINED);
    let tokenizer = build(&toy);
    assert!(tokenizer.is_end(end) && tokenizer.is_control(end));
    assert!(!tokenizer.is_end(strike), "in Gemma it ends HTML's <s>");
    assert!(!tokenizer.encode("<end_of_turn>", false).unwrap().contains(&end));
    assert_eq!(tokenizer.encode("</s>", false).unwrap(), [strike]);
}

#[test]
fn user_defined_tokens_are_text_of_their_own() {
    let mut toy = ToyVocabulary::new();
    let think = toy.add("<think>", USER_DEFINED);
    let accent = toy.add("é", USER_DEFINED);
    let tokenizer = build(&toy);
    let ids = tokenizer.encode("<think>é", false).unwrap();
    assert_eq!(ids, [think, accent]);
    // In the byte alphabet "é" would be the byte 0xe9.
    assert_eq!(tokenizer.decode(&ids), "<think>é");
}

#[test]
fn merges_cannot_make_a_control_token() {
    for pre in ["gpt-2", "llama-bpe"] {
        let mut toy = ToyVocabulary::new();
        toy.pre = pre;
        let control = toy.add("ab", CONTROL);
        toy.merges.push("a b".into());
        let tokenizer = build(&toy);
        assert!(!tokenizer.encode("ab abab", false).unwrap().contains(&control));
        assert_eq!(tokenizer.encode("ab", true).unwrap(), [control]);
    }
}

#[test]
fn the_longest_control_token_wins() {
    for spellings in [["<|a", "<|a|>"], ["<|a|>", "<|a"]] {
        let mut toy = ToyVocabulary::new();
        let ids = spellings.map(|spelling| toy.add(spelling, CONTROL));
        let text = spellings.concat();
        assert_eq!(build(&toy).encode(&text, true).unwrap(), ids, "{text}");
    }
}

#[test]
fn of_equal_spellings_the_later_one_counts() {
    let mut toy = ToyVocabulary::new();
    toy.add("<x>", CONTROL);
    let control = toy.add("<x>", CONTROL);
    add_merge(&mut toy, "a", "b");
    let normal = toy.add("ab", NORMAL);
    let tokenizer = build(&toy);
    assert_eq!(tokenizer.encode("<x>ab", true).unwrap(), [control, normal]);
    assert_eq!(tokenizer.decode(&[normal - 1, normal]), "abab");
}

#[test]
fn what_does_not_run_is_named() {
    let mut toy = ToyVocabulary::new();
    toy.pre = "babel";
    let error = refusal(&toy.gguf());
    assert!(matches!(error, Error::Unsupported(_)));
    let text = error.to_string();
    assert!(text.contains("\"babel\"") && text.contains("qwen2"), "{text}");

    toy.model = "t5";
    let error = refusal(&toy.gguf());
    assert!(matches!(error, Error::Unsupported(_)));
    let text = error.to_string();
    assert!(text.contains("\"t5\"") && text.contains("SentencePiece"), "{text}");
}

#[test]
fn a_file_without_a_pre_tokenizer_has_that_of_gpt2() {
    let file = GgufWriter::new()
        .str("tokenizer.ggml.model", "gpt2")
        .strs("tokenizer.ggml.tokens", &["a", "b", "1", "11"])
        .strs("tokenizer.ggml.merges", &["1 1"]);
    let tokenizer = Tokenizer::from_gguf(&Gguf::from_bytes(file.build()).unwrap()).unwrap();
    assert_eq!(tokenizer.encode("ab11", false).unwrap(), [0, 1, 3]);
}

#[test]
fn broken_metadata_is_a_typed_error() {
    let sound = ToyVocabulary::new();
    let broken = |change: fn(&mut ToyVocabulary)| {
        let mut toy = sound.clone();
        change(&mut toy);
        toy.gguf()
    };
    let keys = |file: GgufWriter| Gguf::from_bytes(file.build()).unwrap();
    let model = || GgufWriter::new().str("tokenizer.ggml.model", "gpt2");
    for (what, gguf) in [
        ("tokenizer.ggml.model", keys(GgufWriter::new())),
        ("tokenizer.ggml.tokens", keys(model())),
        ("tokenizer.ggml.merges", keys(model().strs("tokenizer.ggml.tokens", &["a"]))),
        (
            "tokenizer.ggml.tokens",
            broken(|toy| {
                toy.tokens.clear();
                toy.types.clear()
            }),
        ),
        (
            "255 entries for 256",
            broken(|toy| {
                toy.types.pop();
            }),
        ),
        ("token 7 has the type 9", broken(|toy| toy.types[7] = 9)),
        ("merge 0", broken(|toy| toy.merges.push("ab".into()))),
        ("merge 0", broken(|toy| toy.merges.push("a ".into()))),
        ("merge 0", broken(|toy| toy.merges.push("a b".into()))),
        ("merge 0", broken(|toy| toy.merges.push("a zz".into()))),
        ("merge 0", broken(|toy| toy.merges.push(format!("a {}", "b".repeat(5000))))),
        (
            "eos_token_id is 256",
            broken(|toy| toy.rest = toy.rest.clone().u32("tokenizer.ggml.eos_token_id", 256)),
        ),
    ] {
        let error = refusal(&gguf);
        assert!(matches!(error, Error::Tokenizer(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(what), "{error} lacks {what}");
    }
}

#[test]
fn metadata_of_the_wrong_type_is_a_typed_error() {
    let file = GgufWriter::new().str("tokenizer.ggml.model", "gpt2").u32s("tokenizer.ggml.tokens", &[1, 2]);
    let error = refusal(&Gguf::from_bytes(file.build()).unwrap());
    assert!(matches!(error, Error::Gguf(_)), "{error}");
}

#[test]
fn long_texts_of_one_kind_are_cut_quickly_and_survive() {
    let tokenizer = fixture();
    for unit in ["a", " ", "\n", "<|", "1", "é", "<|im_end|"] {
        let text = unit.repeat(50_000);
        let ids = tokenizer.encode(&text, true).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
    }
}
