//! The Runtime API against clients that do not keep to it.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn serve() -> (RuntimeApi, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (RuntimeApi::serve(listener, 1), address)
}

/// The same, past its init.
async fn ready() -> (RuntimeApi, std::net::SocketAddr) {
    let (api, address) = serve().await;
    api.shared.lock().ready = true;
    (api, address)
}

fn call(id: &str) -> NextCall {
    NextCall {
        request_id: id.into(),
        deadline_ms: 1,
        arn: "arn".into(),
        client_context: None,
        trace_id: Some("Root=1".into()),
        payload: Bytes::from_static(b"{\"event\":1}"),
        sink: None,
    }
}

/// Sends a request on a connection of its own and reads the answer. The connection stays open until then: a client that
/// closes its half is taken for gone.
async fn send(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    exchange(address, bytes, false).await
}

async fn exchange(address: std::net::SocketAddr, bytes: &[u8], close: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    if close {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    request("POST", &format!("/2018-06-01/runtime/{path}"), body)
}

#[tokio::test]
async fn only_the_call_that_is_out_is_answered_and_only_once() {
    let (mut api, address) = ready().await;
    api.call(call("the-one"));
    let early = send(address, &post("invocation/the-one/response", "1")).await;
    assert!(early.starts_with("HTTP/1.1 400"), "not fetched yet: {early}");
    let next = send(
        address,
        &request("GET", "/2018-06-01/runtime/invocation/next", ""),
    )
    .await;
    assert!(
        next.contains("lambda-runtime-aws-request-id: the-one") && next.ends_with("{\"event\":1}"),
        "{next}"
    );
    for guess in 0..1_000 {
        let refused = send(
            address,
            &post(&format!("invocation/guess-{guess}/response"), "\"stolen\""),
        )
        .await;
        assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    }
    let accepted = send(address, &post("invocation/the-one/response", "\"mine\"")).await;
    assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    let again = send(address, &post("invocation/the-one/response", "\"twice\"")).await;
    assert!(again.starts_with("HTTP/1.1 400"), "{again}");
    assert!(matches!(api.hear_answer().await, Heard::Answer(body) if body == "\"mine\""));
}

#[tokio::test]
async fn errors_and_oversized_answers_reach_the_caller() {
    let (mut api, address) = ready().await;
    let next = request("GET", "/2018-06-01/runtime/invocation/next", "");
    api.call(call("a"));
    send(address, &next).await;
    send(address, &post("invocation/a/error", "not json")).await;
    assert!(
        matches!(api.hear_answer().await, Heard::Error(body) if body.starts_with(b"{\"errorMessage\":\"not json\""))
    );
    api.call(call("b"));
    send(address, &next).await;
    let large = send(
        address,
        &post("invocation/b/response", &"x".repeat(limits_over())),
    )
    .await;
    assert!(large.starts_with("HTTP/1.1 413") || large.is_empty(), "{large}");
    assert!(matches!(api.hear_answer().await, Heard::TooLarge(_)));
}

#[tokio::test]
async fn calls_that_are_out_together_have_each_their_own_answer() {
    let (api, address) = ready().await;
    let next = request("GET", "/2018-06-01/runtime/invocation/next", "");
    // Three wait before anything is offered, two come after.
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let next = next.clone();
            tokio::spawn(async move { send(address, &next).await })
        })
        .collect();
    let mut asked: Vec<_> = ["a", "b", "c", "d", "e"].map(|id| api.ask(call(id))).into();
    let mut fetched = Vec::new();
    for answer in waiting {
        fetched.push(answer.await.unwrap());
    }
    fetched.push(send(address, &next).await);
    fetched.push(send(address, &next).await);
    for id in ["a", "b", "c", "d", "e"] {
        let named = format!("lambda-runtime-aws-request-id: {id}\r\n");
        assert_eq!(
            fetched.iter().filter(|text| text.contains(&named)).count(),
            1,
            "{id}"
        );
    }
    // The time of one is up: no answer to it is taken, whatever is asked after it.
    drop(asked.remove(1));
    let late = send(address, &post("invocation/b/response", "\"b\"")).await;
    assert!(late.starts_with("HTTP/1.1 400"), "{late}");
    let _again = api.ask(call("b"));
    let early = send(address, &post("invocation/b/response", "\"b\"")).await;
    assert!(early.starts_with("HTTP/1.1 400"), "not fetched yet: {early}");
    for id in ["e", "c", "a", "d"] {
        let path = format!("invocation/{id}/response");
        let accepted = send(address, &post(&path, &format!("\"{id}\""))).await;
        assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    }
    for (asked, id) in asked.iter_mut().zip(["a", "c", "d", "e"]) {
        let expected = format!("\"{id}\"");
        assert!(matches!(asked.answer().await, Heard::Answer(body) if body == expected.as_bytes()));
    }
}

fn limits_over() -> usize {
    flint_model::limits::RESPONSE_PAYLOAD + 1
}

#[tokio::test]
async fn an_init_error_counts_only_before_the_first_next() {
    let (mut api, address) = serve().await;
    let accepted = send(address, &post("init/error", "{\"errorType\":\"E\"}")).await;
    assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    assert!(matches!(api.hear_init().await, Heard::Error(_)));
    api.shared.lock().ready = true;
    api.call(call("a"));
    send(
        address,
        &request("GET", "/2018-06-01/runtime/invocation/next", ""),
    )
    .await;
    let late = send(address, &post("init/error", "{}")).await;
    assert!(late.starts_with("HTTP/1.1 403"), "{late}");
}

/// A streamed answer as a request, in chunks, with trailers.
fn streamed(id: &str, chunks: &[&str], trailers: &str) -> Vec<u8> {
    let mut text = format!(
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\ncontent-type: text/html\r\n\
         lambda-runtime-function-response-mode: streaming\r\n\
         trailer: lambda-runtime-function-error-type, lambda-runtime-function-error-body\r\n\r\n"
    );
    for chunk in chunks {
        text += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    text += &format!("0\r\n{trailers}\r\n");
    text.into_bytes()
}

#[tokio::test]
async fn an_answer_is_handed_on_while_it_comes_and_its_trailers_tell_of_its_end() {
    use crate::stream::{Piece, stream};
    let next = request("GET", "/2018-06-01/runtime/invocation/next", "");
    let trailers = "lambda-runtime-function-error-type: Mine\r\nlambda-runtime-function-error-body: e30=\r\n";
    for (sink, trailers, good) in [
        (true, "", true),
        (true, trailers, false),
        (false, "", true),
        (false, trailers, false),
    ] {
        let (mut api, address) = ready().await;
        let (into, mut pieces) = stream();
        api.call(NextCall {
            sink: sink.then_some(into),
            ..call("a")
        });
        send(address, &next).await;
        let answer = send(address, &streamed("a", &["one", "two"], trailers)).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        let again = send(address, &streamed("a", &["more"], "")).await;
        assert!(again.starts_with("HTTP/1.1 400"), "answered already: {again}");
        match (api.hear_answer().await, sink, good) {
            (Heard::Streamed, true, true) => {}
            (Heard::Answer(body), false, true) => assert_eq!(body, "onetwo"),
            (Heard::Error(document), _, false) => assert_eq!(document, "{}"),
            (other, ..) => panic!("{other:?}"),
        }
        api.end_stream();
        if sink {
            assert_eq!(pieces.recv().await, Some(Piece::Head("text/html".into())));
            let mut bytes = Vec::new();
            while let Some(Piece::Data(more)) = pieces.recv().await {
                bytes.extend(more);
            }
            assert_eq!(bytes, b"onetwo");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_half_way_has_no_second_try() {
    let (mut api, address) = ready().await;
    let (into, _pieces) = crate::stream::stream();
    api.call(NextCall {
        sink: Some(into),
        ..call("a")
    });
    send(
        address,
        &request("GET", "/2018-06-01/runtime/invocation/next", ""),
    )
    .await;
    let mut cut = streamed("a", &["one"], "");
    cut.truncate(cut.len() - 5);
    exchange(address, &cut, true).await;
    assert!(matches!(api.hear_answer().await, Heard::Violation(_)));
    let again = send(address, &post("invocation/a/response", "1")).await;
    assert!(again.starts_with("HTTP/1.1 400"), "{again}");
}

/// Cases of a property: few here, many in `make soak`.
fn cases(few: u32) -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(few)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(128)))]

    /// Any bytes, any paths, any methods: never a 5xx, never an answer to a call, and the API serves on.
    #[test]
    fn hostile_clients_settle_nothing(
        raw in prop::collection::vec(any::<u8>(), 0..300),
        method in "[A-Z]{1,8}",
        path in "[ -~]{0,80}",
        id in "[a-zA-Z0-9%./-]{0,40}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut api, address) = ready().await;
            api.call(call("secret-id"));
            send(address, &request("GET", "/2018-06-01/runtime/invocation/next", "")).await;
            let answer = exchange(address, &raw, true).await;
            assert!(!answer.starts_with("HTTP/1.1 5") && !answer.starts_with("HTTP/1.1 202"), "{answer}");
            for bytes in [
                request(&method, &format!("/{path}"), "x"),
                post(&format!("invocation/{id}/response"), "1"),
                post(&format!("invocation/{id}/error"), "1"),
            ] {
                let answer = send(address, &bytes).await;
                assert!(!answer.starts_with("HTTP/1.1 5") && !answer.starts_with("HTTP/1.1 202"), "{answer}");
            }
            let mine = send(address, &post("invocation/secret-id/response", "1")).await;
            assert!(mine.starts_with("HTTP/1.1 202"), "{mine}");
            assert!(matches!(api.hear_answer().await, Heard::Answer(_)));
        });
    }
}
