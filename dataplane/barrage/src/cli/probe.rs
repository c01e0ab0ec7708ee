//! `barrage probe`: asks a process whether it is ready. For images without a shell, where nothing else could.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;

/// For one question and its answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// More than any process says of its health.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  barrage probe http://default-gateway/readyz --within 60")]
pub(super) struct Probe {
    /// http://HOST:PORT/readyz, or any other path that says 200 when all is well
    url: String,
    /// How long to go on asking, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    within: u64,
}

impl Probe {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let rest = self.url.strip_prefix("http://");
        let rest = rest.with_context(|| format!("{:?} is not http://HOST:PORT/PATH", self.url))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let deadline = Instant::now() + Duration::from_secs(self.within);
        loop {
            match ask(host, path) {
                Ok(answer) if is_ok(&answer) => {
                    println!("{}", body(&answer));
                    return Ok(());
                }
                Ok(answer) if Instant::now() >= deadline => bail!("{} says: {}", self.url, body(&answer)),
                Err(error) if Instant::now() >= deadline => return Err(error).with_context(|| self.url.clone()),
                _ => thread::sleep(ASK_AGAIN),
            }
        }
    }
}

/// One request as HTTP/1.0 has it, so that the answer ends with the connection.
fn ask(host: &str, path: &str) -> anyhow::Result<String> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
    // In one piece: formatting straight into a socket sends each part by itself.
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn is_ok(answer: &str) -> bool {
    answer.split(' ').nth(1) == Some("200")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or(answer, |(_, body)| body).trim()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Gives these answers, one for each question.
    fn server(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut part = [0; 512];
                    let length = stream.read(&mut part).unwrap();
                    assert!(length > 0, "the request ends in the middle");
                    request.extend_from_slice(&part[..length]);
                }
                assert!(request.starts_with(b"GET /readyz HTTP/1.0\r\n"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    #[test]
    fn it_asks_until_all_is_well() {
        let url = server(&["HTTP/1.0 503 Service Unavailable\r\n\r\nstarting", "HTTP/1.0 200 OK\r\n\r\nok"]);
        Probe { url, within: 30 }.run().unwrap();
    }

    #[test]
    fn what_is_wrong_is_told() {
        let url = server(&["HTTP/1.0 503 Service Unavailable\r\n\r\nno route table"]);
        let error = Probe { url, within: 0 }.run().unwrap_err();
        assert!(error.to_string().contains("no route table"), "{error}");
        let error = Probe { url: "gateway:80".into(), within: 0 }.run().unwrap_err();
        assert!(error.to_string().contains("http://HOST:PORT/PATH"), "{error}");
    }
}
