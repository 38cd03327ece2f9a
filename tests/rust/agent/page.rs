//! A page in a real browser that tries to get a token from the agent's port.

use codex_auth_tests::chromium::Chromium;
use serde_json::json;

use crate::access::listening;
use crate::scene::Scene;

/// What the page reads of each answer, in the order of [`attempts`]. An answer to a request without
/// leave to read it is empty.
const READ: &str = r#"["no answer","no answer","no answer","","","no answer"]"#;

/// A script that asks in each way that a page has, and then opens the page again with what it has read
/// in the query. It even knows the bearer.
fn attempts(agent: &str, bearer: &str) -> String {
    let (token, rejected) = (format!("{agent}/v1/token"), format!("{agent}/v1/rejected"));
    let (token, rejected, bearer) = (json!(token), json!(rejected), json!(bearer));
    format!(
        "(async () => {{
            const attempts = [
                fetch({token}),
                fetch({token}, {{ headers: {{ authorization: {bearer} }} }}),
                fetch({token}, {{ credentials: 'include' }}),
                fetch({token}, {{ mode: 'no-cors' }}),
                fetch({rejected}, {{ method: 'POST', mode: 'no-cors', body: '{{}}' }}),
                fetch({rejected}, {{ method: 'POST', headers: {{ authorization: {bearer} }}, body: '{{}}' }}),
            ];
            const read = await Promise.all(attempts.map((attempt) =>
                attempt.then((answer) => answer.text()).catch(() => 'no answer')));
            location.search = '?read=' + encodeURIComponent(JSON.stringify(read));
        }})()"
    )
}

#[tokio::test]
async fn g9_a_page_in_a_browser_reads_nothing_from_the_port() {
    let scene = Scene::signed_in();
    let (_agent, url, bearer) = listening(&scene, &[]);
    let Some(mut browser) = Chromium::start().await else { return };
    browser.open(&format!("{}/api/open", scene.realm().url())).await;
    browser.on("location.pathname.endsWith('/api/open')", &attempts(&url, &bearer)).await;
    let read = "new URLSearchParams(location.search).get('read')";
    browser.on(&format!("{read} === {}", json!(READ)), "").await;
    // A user who opens the address itself sees a refusal.
    browser.open(&format!("{url}/v1/token")).await;
    browser.sees("not_allowed").await;
    assert_eq!(scene.requests(), 0);
    assert_eq!(scene.get("/v1/token").await.status, 200, "the agent goes on");
}
