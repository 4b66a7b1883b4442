//! A token from the output of a program.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::zeroize::Zeroizing;
use sendport_core::domain::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::access_token::AccessToken;
use super::error::{InvalidToken, SettingsError};
use super::redaction::redacted;
use super::token_cache::Issuer;
use super::token_response::TokenResponse;
use crate::TokenError;
use crate::settings::TokenCommand as Config;

/// Bytes of output that are read; more is no token.
const MOST_OUTPUT: u64 = 64 * 1024;

/// Runs the program, without a shell, without input.
pub(super) struct TokenCommand {
    program: String,
    arguments: Vec<String>,
    limit: Duration,
}

struct ProcessOutput {
    status: ExitStatus,
    output: Zeroizing<Vec<u8>>,
    stderr: Zeroizing<Vec<u8>>,
}

impl TokenCommand {
    pub(super) fn new(config: &Config) -> Result<Self, SettingsError> {
        let (program, arguments) = config.command.split_first().ok_or_else(|| {
            SettingsError::keys(
                "command: expected a program and its arguments, found an empty list",
            )
        })?;
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            limit: config.timeout,
        })
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    async fn run(&self) -> Result<ProcessOutput, TokenError> {
        let child = self.start().map_err(|cause| {
            TokenError::configuration(self.explain(&format!("it cannot be started: {cause}")))
        })?;
        match tokio::time::timeout(self.limit, ended(child)).await {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(cause)) => Err(TokenError::invalid(self.explain(&cause))),
            Err(_) => Err(TokenError::invalid(self.explain(&format!(
                "it did not end within {:.1?} (setting auth.oauth2.timeout) and was killed",
                self.limit
            )))),
        }
    }

    /// Names the program only: its arguments may hold secrets.
    fn explain(&self, what: &dyn std::fmt::Display) -> String {
        format!("auth.oauth2.command '{}': {what}", self.program)
    }

    fn failed(&self, ended: &ProcessOutput) -> TokenError {
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let last = stderr.lines().rfind(|line| !line.trim().is_empty());
        let last = last.map_or(String::new(), |line| {
            format!(", saying: {}", redacted(line, &[]))
        });
        let status = ended.status;
        TokenError::invalid(self.explain(&format!("it ended with {status}{last}")))
    }
}

/// Waits for the end of the program and reads its output.
async fn ended(mut child: Child) -> std::io::Result<ProcessOutput> {
    let (output, stderr) =
        tokio::try_join!(bounded(child.stdout.take()), bounded(child.stderr.take()))?;
    Ok(ProcessOutput {
        status: child.wait().await?,
        output,
        stderr,
    })
}

async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let room = usize::try_from(MOST_OUTPUT).unwrap_or(usize::MAX);
    let mut read = Zeroizing::new(Vec::with_capacity(room));
    if let Some(pipe) = pipe {
        pipe.take(MOST_OUTPUT).read_to_end(&mut read).await?;
    }
    Ok(read)
}

#[async_trait]
impl Issuer for TokenCommand {
    async fn issue(&self, now: Timestamp) -> Result<AccessToken, TokenError> {
        let ended = self.run().await?;
        if !ended.status.success() {
            return Err(self.failed(&ended));
        }
        // `curl` prints the error page of a proxy and succeeds: trying again may help.
        let invalid = |error: InvalidToken| TokenError::invalid(self.explain(&error));
        let text = std::str::from_utf8(&ended.output);
        let text = text.map_err(|_| invalid(InvalidToken::NotUtf8))?;
        let response = TokenResponse::from_text(text).map_err(invalid)?;
        response.into_token(now, now).map_err(invalid)
    }
}
