//! Clients that send junk, are slow, or are many, do not keep the honest ones from their tokens.

#![allow(clippy::print_stdout, reason = "what is measured")]

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codex_auth_tests::privilege::are_open_files_denied;
use codex_auth_tests::tier::sized;
use serde_json::json;

use crate::scene::{Agent, Reply, Scene, client};

/// More connections than the agent keeps.
const MANY: usize = 700;

fn connect(scene: &Scene) -> UnixStream {
    UnixStream::connect(scene.socket()).expect("the agent accepts")
}

/// All that the agent answers to `words`, until it closes the connection.
fn answer_to(scene: &Scene, words: &str) -> String {
    let mut stream = connect(scene);
    // Both fail where the agent has closed the connection before it has read all.
    drop(stream.write_all(words.as_bytes()));
    if !words.contains("\r\n") {
        // It would wait for the rest of the head.
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// An honest client, which connects anew, gets a token.
async fn assert_served(scene: &Scene) {
    let reply = scene.get("/v1/token").await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn junk_is_refused_and_hurts_no_other() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(2_000));
    let body = "POST /v1/rejected HTTP/1.1\r\nhost: l\r\ncontent-length: 9999999999\r\n\r\n";
    let chunked =
        "POST /v1/rejected HTTP/1.1\r\nhost: l\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n";
    let junk = ["\0\u{1}\u{2}\r\n\r\n", "GET", "\u{16}\u{3}\u{1}", &long, &many, body, chunked];
    let answer = |words| answer_to(&scene, words);
    // At once, since some bodies are waited for.
    std::thread::scope(|scope| {
        for asked in junk.map(|junk| scope.spawn(move || answer(junk))) {
            let answer = asked.join().expect("no panic");
            let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
            assert!(is_refused && !answer.contains("access_token"), "{answer}");
        }
    });
    assert_served(&scene).await;
    // An honest answer would come by the way of those.
    let answer = answer("GET /v1/token HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n");
    assert!(answer.contains("200 OK") && answer.contains("access_token"), "{answer}");
}

#[tokio::test]
async fn silent_and_slow_ones_give_way() {
    if are_open_files_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let streams: Vec<_> = (0..MANY)
        .map(|number| {
            let mut stream = connect(&scene);
            let words: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /v1/token HT",
                // It asks again and again, and reads no answer.
                _ => b"GET /v1/status HTTP/1.1\r\nhost: l\r\n\r\nGET /v1/status HTTP/1.1\r\nhost: l\r\n\r\n",
            };
            drop(stream.write_all(words));
            stream
        })
        .collect();
    assert_served(&scene).await;
    drop(streams);
}

/// More at a time than the agent keeps, and each sends something else. It makes so many `connections`
/// at least, and goes on until it `may_end`. What it leaves of the files that this process may open is for
/// the honest clients that the process starts.
fn flood(scene: &Scene, connections: usize, may_end: &AtomicBool) {
    let words: [&[u8]; 4] = [
        b"",
        b"GET /v1/token HT",
        b"\0\x01\x02\r\n\r\n",
        b"GET /v1/token HTTP/1.1\r\nhost: l\r\n\r\n",
    ];
    let mut open = VecDeque::new();
    let numbers = (0..).take_while(|it| *it < connections || !may_end.load(Ordering::Relaxed));
    for number in numbers {
        if open.len() == MANY {
            open.pop_front();
        }
        let mut stream = connect(scene);
        // It fails where the agent has closed the connection already.
        drop(stream.write_all(words[number % words.len()]));
        open.push_back(stream);
    }
}

/// An honest client of another process gets a token. Returns how long it took, with its start.
fn wait_of_another(scene: &Scene) -> Duration {
    let start = Instant::now();
    let output = scene.command(&["--store", &scene.address(), "token"]).output().expect("started");
    assert!(output.status.success(), "{output:?}");
    start.elapsed()
}

#[test]
fn a_flood_of_connections_keeps_no_honest_client_from_its_token() {
    if are_open_files_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let undisturbed = wait_of_another(&scene);
    let may_end = AtomicBool::new(false);
    let mut waits: Vec<_> = std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&scene, sized(3_000, 10_000), &may_end));
        let waits = (0..sized(5, 50)).map(|_| wait_of_another(&scene)).collect();
        may_end.store(true, Ordering::Relaxed);
        flood.join().expect("no panic");
        waits
    });
    waits.sort();
    println!(
        "honest clients during a flood: {:.1?} at the median, {:.1?} at most; {undisturbed:.1?} without",
        waits[waits.len() / 2],
        waits[waits.len() - 1]
    );
    wait_of_another(&scene);
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn where_few_files_may_be_open_connections_leave_enough_to_the_login() {
    if are_open_files_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let program = scene.command(&["agent", "--socket"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(program.get_program());
    command.args(program.get_args()).arg(scene.socket()).env("CODEX_HOME", scene.path("home"));
    let mut agent = Agent::start(command);
    agent.wait_for("watching");
    let streams: Vec<_> = (0..MANY).map(|_| connect(&scene)).collect();
    assert_served(&scene).await;
    let path = format!("/v1/token?after={}", scene.get("/v1/token").await.text_of("/generation"));
    scene.sign_in(&json!({"name": "b"}));
    assert_eq!(scene.get(&path).await.text_of("/user_id"), "user-b");
    drop(streams);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_reports_and_polls_do_not_stop_the_honest() {
    if are_open_files_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let grant = scene.get("/v1/token").await.json();
    let generation = grant["generation"].as_str().expect("a text").to_owned();
    let report = json!({"token": "f".repeat(32), "login_id": grant["login_id"],
        "account_id": grant["account_id"]});
    let post = format!(
        "POST /v1/rejected HTTP/1.1\r\nhost: l\r\ncontent-length: {}\r\n\r\n{report}",
        report.to_string().len()
    );
    let poll = format!("GET /v1/token?after={generation} HTTP/1.1\r\nhost: l\r\n\r\n");
    let flood: Vec<_> = (0..MANY)
        .map(|number| {
            let mut stream = connect(&scene);
            let words = if number % 2 == 0 { post.repeat(20) } else { poll.clone() };
            // It fails where the agent has no more room.
            drop(stream.write_all(words.as_bytes()));
            stream
        })
        .collect();
    // The flood holds as many connections of this process as one may have, and each of them is a
    // long poll; an honest one of another process is served.
    let wait = tokio::task::block_in_place(|| wait_of_another(&scene));
    println!("an honest client during a flood of reports and polls: {wait:.1?}");
    assert_eq!(scene.requests(), 0);
    drop(flood);
}

#[tokio::test]
async fn reports_of_what_is_not_the_token_redeem_nothing() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let grant = scene.get("/v1/token").await.json();
    for token in ["", "0", &"f".repeat(31), &"f".repeat(33), "ffffffffffffffffffffffffffffffff"] {
        let mut report = grant.clone();
        report["token"] = json!(token);
        let request = client(&scene.socket()).post("http://l/v1/rejected").json(&report);
        let reply = Reply::of(request).await;
        let expected = if token.len() == 32 { 200 } else { 400 };
        assert_eq!(reply.status, expected, "{token}: {reply:?}");
    }
    assert_eq!(scene.requests(), 0);
}
