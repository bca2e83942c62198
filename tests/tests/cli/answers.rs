//! `run`: text and ids to a continuation.

use halfbyte_tests::fixtures::{self, TinyModel};
use serde_json::{Value, json};

use crate::{quiet, run, tiny};

const CPU_GREEDY: [&str; 4] = ["--backend", "cpu", "--temperature", "0"];

fn greedy(args: &[&str]) -> Vec<String> {
    [&["run", &tiny()], args, &CPU_GREEDY].concat().iter().map(|arg| (*arg).to_owned()).collect()
}

fn quiet_greedy(args: &[&str]) -> crate::Run {
    let args = greedy(args);
    quiet(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `<|endoftext|>`, with which the models end their turn.
const END: u32 = 314;

#[test]
fn ids_are_continued_as_the_reference_continues_them() {
    // In the reference, the two likeliest tokens differ by 0.03 standard deviations of the logits or
    // more at every step of these, far above the difference of two f32 runtimes.
    for (file, stop) in [("llama-untied-s.Q4_0.gguf", "max_tokens"), ("llama-s.Q4_0.gguf", "end_of_turn")] {
        let tiny = TinyModel::all().into_iter().find(|model| model.file == file).unwrap();
        let ids: Vec<String> = tiny.prompt.iter().map(u32::to_string).collect();
        let expected: Vec<u32> = tiny.greedy.split_inclusive(|id| *id == END).next().unwrap().to_vec();
        let path = fixtures::path("tiny").join(file).into_os_string().into_string().unwrap();
        for backend in ["cpu", "gpu"] {
            let args = ["run", &path, "--ids", &ids.join(","), "--max-tokens", "32", "--json"];
            let exact = ["--temperature", "0", "--backend", backend, "--activations", "f32"];
            let answer = quiet(&[&args[..], &exact].concat()).json();
            assert_eq!(answer["generated_ids"], json!(expected), "{file} on the {backend}");
            assert_eq!(answer["stop"], stop);
            assert_eq!(answer["device"]["backend"], backend);
            assert_eq!(answer["stats"]["generated_tokens"], expected.len());
            assert_eq!(answer["stats"]["prompt_tokens"], 48);
            assert!(answer["stats"]["decode_tokens_per_second"].as_f64().unwrap() > 0.0);
        }
    }
}

#[test]
fn a_text_is_continued_on_standard_output() {
    let args = ["--prompt", "the keeper", "--max-tokens", "8"];
    let json = quiet_greedy(&[&args[..], &["--json"]].concat()).json();
    let text = json["text"].as_str().unwrap();
    assert_eq!(quiet_greedy(&args).stdout, format!("{text}\n"));

    let ids = quiet(&["tokenize", &tiny(), "--text", "the keeper", "--json"]).json()["ids"].clone();
    let begin = [&[json!(317)][..], ids.as_array().unwrap()].concat();
    assert_eq!(json["prompt_ids"], json!(begin), "the file asks for its beginning-of-sequence token");
}

#[test]
fn ids_can_come_from_a_file() {
    let folder = crate::Folder::new();
    let file = folder.write("ids", "[1, 2,\n3]\n");
    let answer = quiet_greedy(&["--ids", &format!("@{file}"), "--max-tokens", "2", "--json"]).json();
    assert_eq!(answer["prompt_ids"], json!([1, 2, 3]));
    assert_eq!(answer["generated_ids"].as_array().unwrap().len(), 2);
}

#[test]
fn a_seed_that_was_reported_gives_the_same_answer_again() {
    let args = ["run", &tiny(), "--ids", "1,2", "--max-tokens", "12", "--temperature", "2", "--top-k", "0"];
    let args = [&args[..], &["--min-p", "0", "--top-p", "1", "--backend", "cpu", "--json"]].concat();
    let answer = |seed: &[&str]| quiet(&[&args[..], seed].concat()).json();
    let first = answer(&[]);
    let again = answer(&["--seed", &first["seed"].to_string()]);
    assert_eq!(first["generated_ids"], again["generated_ids"]);
    let other = answer(&["--seed", "1"]);
    assert_ne!(first["generated_ids"], other["generated_ids"], "12 tokens at temperature 2");
}

#[test]
fn a_stop_text_ends_the_answer_and_is_no_part_of_it() {
    let args = ["--ids", "1,2,3", "--max-tokens", "20", "--json"];
    let whole = quiet_greedy(&args).json();
    let text = whole["text"].as_str().unwrap();
    let stop: String = text.chars().skip(3).take(2).collect();
    let cut = quiet_greedy(&[&args[..], &["--stop", &stop]].concat()).json();
    assert_eq!(cut["text"].as_str().unwrap(), &text[..text.find(&stop).unwrap()]);
    assert_eq!(cut["stop"], "stop_string");
}

#[test]
fn a_full_context_is_an_outcome() {
    let answer = quiet_greedy(&["--ids", "1,2,3", "--ctx", "5", "--json"]).json();
    let is_end = |ids: &Value| ids.as_array().unwrap().len() == 3;
    assert!(is_end(&answer["generated_ids"]), "two fit, and the last need not be evaluated: {answer}");
    assert_eq!(answer["stop"], "context_full");
}

#[test]
fn verbose_reports_device_and_speed_on_standard_error() {
    let args = greedy(&["--prompt", "a", "--max-tokens", "3", "--verbose"]);
    let run = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!((run.code, lines.len()), (0, 2), "{}", run.stderr);
    assert!(lines[0].starts_with("running on the CPU: "), "{}", lines[0]);
    assert!(lines[1].contains("3 written at"), "{}", lines[1]);
}
