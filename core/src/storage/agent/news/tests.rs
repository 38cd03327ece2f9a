//! Stores that hear of changes, and an agent that tells them.

use std::path::Path;
use std::sync::Mutex;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::AgentStorage;
use super::*;
use crate::storage::AuthStorage;

/// A program that answers as an agent does.
#[derive(Clone)]
struct Agent {
    generation: watch::Sender<u64>,
    asked: Arc<Mutex<Vec<String>>>,
    knows_polls: bool,
}

impl Agent {
    fn new(knows_polls: bool) -> Self {
        Self { generation: watch::Sender::new(1), asked: Arc::default(), knows_polls }
    }

    /// Listens until what this returns is dropped.
    fn listen(&self, socket: &Path) -> JoinSet<()> {
        let (agent, listener) = (self.clone(), UnixListener::bind(socket).expect("bound"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(agent.clone().serve(stream));
            }
        });
        tasks
    }

    async fn serve(self, mut stream: UnixStream) {
        let mut head = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut head).await {
            let head = String::from_utf8_lossy(&head[..length]);
            let path = head.split(' ').nth(1).expect("a path").to_owned();
            self.asked.lock().expect("no panic").push(path.clone());
            if let Some((_, after)) = path.split_once("after=").filter(|_| self.knows_polls) {
                let after: u64 = after.parse().expect("a generation");
                let mut generations = self.generation.subscribe();
                generations.wait_for(|generation| *generation != after).await.expect("sent");
            }
            let generation = *self.generation.borrow();
            let body = format!(
                r#"{{"version": 1, "access_token": "a", "mode": "chatgpt", "generation": "{generation}"}}"#
            );
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// How often a path with this end was asked for.
    fn count(&self, end: &str) -> usize {
        self.asked.lock().expect("no panic").iter().filter(|path| path.ends_with(end)).count()
    }
}

fn store(folder: &TempDir) -> AgentStorage {
    let address = format!("unix:{}#work", folder.path().join("agent.sock").display());
    let address = address.parse().expect("an address");
    AgentStorage::new(&address, Environment::default()).expect("a store")
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_is_told_by_one_poll_and_nothing_is_read_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = Agent::new(true);
    let _listening = agent.listen(&folder.path().join("agent.sock"));
    let stores = [store(&folder), store(&folder)];
    assert_eq!(stores[0].stamp(), None, "no poll is made before there is a need");
    for generation in 1..4 {
        for store in &stores {
            store.load().await.expect("a login");
        }
        let changed = async { tokio::join!(stores[0].changed(), stores[1].changed()) };
        let mut changed = Box::pin(changed);
        let end = format!("?login=work&after={generation}");
        while agent.count(&end) == 0 {
            assert!(timeout(Duration::from_millis(1), &mut changed).await.is_err());
        }
        let stamp = stores[1].stamp();
        assert!(stamp.is_some() && stamp == stores[0].stamp(), "{stamp:?}");
        agent.generation.send_modify(|generation| *generation += 1);
        changed.await;
        assert_ne!(stores[0].stamp(), stamp);
        assert_eq!(agent.count(&end), 1, "both wait for one poll");
    }
    assert_eq!(agent.count("?login=work"), 2 * 3 + 1, "{:?}", agent.asked);
}

#[tokio::test]
async fn an_agent_that_is_gone_tells_nothing_and_the_next_one_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = Agent::new(true);
    let socket = folder.path().join("agent.sock");
    let listening = agent.listen(&socket);
    let store = store(&folder);
    store.load().await.expect("a login");
    let mut changed = Box::pin(store.changed());
    let mut wait_until = async |has_news: bool| {
        while store.stamp().is_some() != has_news {
            assert!(timeout(Duration::from_millis(1), &mut changed).await.is_err());
        }
    };
    wait_until(true).await;
    drop(listening);
    wait_until(false).await;
    store.load().await.expect_err("no agent is there");
    std::fs::remove_file(&socket).expect("removed");
    // Its states have other names.
    agent.generation.send_modify(|generation| *generation += 1);
    let _listening = agent.listen(&socket);
    changed.await;
    assert!(store.stamp().is_some());
}

#[tokio::test]
async fn a_program_that_lets_no_poll_wait_is_not_asked_in_a_loop() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = Agent::new(false);
    let _listening = agent.listen(&folder.path().join("agent.sock"));
    let store = store(&folder);
    store.changed().await;
    store.load().await.expect("a login");
    let mut changed = Box::pin(store.changed());
    while agent.count("after=1") == 0 {
        assert!(timeout(Duration::from_millis(1), &mut changed).await.is_err());
    }
    drop(changed);
    until(|| store.stamp().is_none()).await;
    for _ in 0..200 {
        drop(timeout(Duration::ZERO, store.changed()).await);
        store.load().await.expect("a login");
    }
    assert!(agent.count("after=1") < 100, "{}", agent.count("after=1"));
}

#[tokio::test]
async fn what_no_caller_waits_for_any_more_is_not_polled_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = Agent::new(true);
    let _listening = agent.listen(&folder.path().join("agent.sock"));
    let store = store(&folder);
    store.changed().await;
    assert!(store.stamp().is_some());
    // The poll that was begun meanwhile is the last one.
    agent.generation.send_modify(|generation| *generation += 1);
    until(|| store.stamp().is_none()).await;
    assert!(agent.count("after=2") == 0, "{:?}", agent.asked);
    store.changed().await;
}
