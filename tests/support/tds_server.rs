//! A SQL Server up to the login (MS-TDS): prelogin, TLS inside of TDS packets, LOGIN7. Requests
//! after an accepted login are answered with [`INSIDE`].

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use openssl::ssl::{SslAcceptor, SslStream};
use parking_lot::Mutex;

/// The answer to every request after an accepted login.
pub(crate) const INSIDE: &str = "nothing is stored here";

const HEADER: usize = 8;
const PRELOGIN: u8 = 0x12;
const LOGIN: u8 = 0x10;
const RESPONSE: u8 = 0x04;

/// What a client sent up to LOGIN7 (MS-TDS sections 2.2.6.4 and 2.2.6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// FEDAUTHREQUIRED of the prelogin.
    pub(crate) is_federated: bool,
    pub(crate) user: String,
    /// The program of the login.
    pub(crate) application: String,
    /// The server name that the client expects.
    pub(crate) server: String,
    pub(crate) database: String,
    /// The access token of the feature extension FEDAUTH.
    pub(crate) token: Option<String>,
    /// GSS-API's.
    pub(crate) sspi: Vec<u8>,
}

/// What the server thinks of a client.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    LetIn,
    /// And each of its statements is answered with this error.
    LetInAndSay(u32, &'static str),
    /// And its GSS-API token is answered with this one, which proves the server's identity.
    LetInAfter(Vec<u8>),
    /// Number, state and text of the error.
    Refuse(u32, u8, &'static str),
    /// The client has to go to this server and port instead.
    Route(String, u16),
}

type Judge = dyn Fn(&Login) -> Verdict + Send + Sync;

/// The server. It ends with the test.
pub(crate) struct TdsServer {
    pub(crate) address: SocketAddr,
    logins: Arc<Mutex<Vec<Login>>>,
}

impl TdsServer {
    /// `acceptor` speaks TLS 1.2: in TLS 1.3 it is not certain which bytes end the handshake.
    pub(crate) fn start(
        acceptor: SslAcceptor,
        judge: impl Fn(&Login) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self::begin(acceptor, false, judge)
    }

    /// One that forces strict encryption (TDS 8.0): TLS comes before the prelogin.
    pub(crate) fn start_strict(
        acceptor: SslAcceptor,
        judge: impl Fn(&Login) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self::begin(acceptor, true, judge)
    }

    fn begin(
        acceptor: SslAcceptor,
        is_strict: bool,
        judge: impl Fn(&Login) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let logins = Arc::<Mutex<Vec<Login>>>::default();
        let (seen, judge) = (
            logins.clone(),
            Arc::<Judge>::from(Box::new(judge) as Box<Judge>),
        );
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (acceptor, seen, judge) = (acceptor.clone(), seen.clone(), judge.clone());
                // A client that goes is no failure of the server.
                std::thread::spawn(move || match is_strict {
                    true => serve_strictly(tcp, &acceptor, &seen, &*judge),
                    false => serve(tcp, &acceptor, &seen, &*judge),
                });
            }
        });
        Self { address, logins }
    }

    /// The logins and attempts.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.logins.lock().clone()
    }
}

fn serve(
    mut tcp: TcpStream,
    acceptor: &SslAcceptor,
    seen: &Mutex<Vec<Login>>,
    judge: &Judge,
) -> io::Result<()> {
    let (kind, prelogin) = message(&mut tcp)?;
    assert_eq!(kind, PRELOGIN, "a session begins with the prelogin");
    tcp.write_all(&packet(RESPONSE, &prelogin_answer()))?;
    let mut wire = shake_hands(tcp, acceptor)?;
    session(&mut wire, &prelogin, seen, judge)
}

fn serve_strictly(
    tcp: TcpStream,
    acceptor: &SslAcceptor,
    seen: &Mutex<Vec<Login>>,
    judge: &Judge,
) -> io::Result<()> {
    let mut wire = acceptor.accept(tcp).map_err(io::Error::other)?;
    let (kind, prelogin) = message(&mut wire)?;
    assert_eq!(kind, PRELOGIN, "a session begins with the prelogin");
    wire.write_all(&packet(RESPONSE, &prelogin_answer()))?;
    session(&mut wire, &prelogin, seen, judge)
}

fn session(
    mut wire: &mut (impl Read + Write),
    prelogin: &[u8],
    seen: &Mutex<Vec<Login>>,
    judge: &Judge,
) -> io::Result<()> {
    let (kind, login) = message(&mut wire)?;
    assert_eq!(kind, LOGIN, "LOGIN7 follows the prelogin");
    let login = read_login(&login, option(prelogin, 6) == Some(&[1]));
    let verdict = judge(&login);
    seen.lock().push(login.clone());
    match verdict.clone() {
        Verdict::Refuse(number, state, text) => {
            return wire.write_all(&packet(RESPONSE, &error(number, state, text)));
        }
        Verdict::Route(host, port) => {
            let answer = [route(&host, port), welcome(&login)].concat();
            return wire.write_all(&packet(RESPONSE, &answer));
        }
        Verdict::LetInAfter(token) => {
            let mut answer = vec![0xED];
            answer.extend(u16_of(token.len()));
            answer.extend(token);
            wire.write_all(&packet(RESPONSE, &answer))?;
            wire.write_all(&packet(RESPONSE, &welcome(&login)))?;
        }
        Verdict::LetIn | Verdict::LetInAndSay(..) => {
            wire.write_all(&packet(RESPONSE, &welcome(&login)))?;
        }
    }
    let (number, text) = match verdict {
        Verdict::LetInAndSay(number, text) => (number, text),
        _ => (50505, INSIDE),
    };
    // What makes the session ready, and then what the client is here for.
    message(&mut wire)?;
    wire.write_all(&packet(RESPONSE, &done(0)))?;
    message(&mut wire)?;
    wire.write_all(&packet(RESPONSE, &error(number, 1, text)))
}

/// TLS records travel in prelogin packets until the handshake is over.
#[derive(Debug)]
struct Wrapped {
    tcp: TcpStream,
    is_shaking: bool,
    left: usize,
}

impl Read for Wrapped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_shaking {
            return self.tcp.read(buffer);
        }
        if self.left == 0 {
            let mut header = [0; HEADER];
            self.tcp.read_exact(&mut header)?;
            self.left = usize::from(u16::from_be_bytes([header[2], header[3]])) - HEADER;
        }
        let room = buffer.len().min(self.left);
        let read = self.tcp.read(&mut buffer[..room])?;
        self.left -= read;
        Ok(read)
    }
}

impl Write for Wrapped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.is_shaking {
            true => self.tcp.write_all(&packet(PRELOGIN, bytes))?,
            false => self.tcp.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

fn shake_hands(tcp: TcpStream, acceptor: &SslAcceptor) -> io::Result<SslStream<Wrapped>> {
    let wrapped = Wrapped {
        tcp,
        is_shaking: true,
        left: 0,
    };
    let mut wire = acceptor.accept(wrapped).map_err(io::Error::other)?;
    wire.get_mut().is_shaking = false;
    Ok(wire)
}

/// Kind and content of a message, which may come in many packets.
fn message(wire: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut content = Vec::new();
    loop {
        let mut header = [0; HEADER];
        wire.read_exact(&mut header)?;
        let start = content.len();
        let length = usize::from(u16::from_be_bytes([header[2], header[3]])) - HEADER;
        content.resize(start + length, 0);
        wire.read_exact(&mut content[start..])?;
        if header[1] & 1 == 1 {
            return Ok((header[0], content));
        }
    }
}

fn packet(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + HEADER).expect("one packet");
    let [high, low] = length.to_be_bytes();
    [&[kind, 1, high, low, 0, 0, 1, 0], content].concat()
}

/// VERSION, ENCRYPTION (on), FEDAUTHREQUIRED.
fn prelogin_answer() -> Vec<u8> {
    let (version, encryption, federated) = ([16, 0, 0, 0, 0, 0], [1], [1]);
    let mut answer = Vec::new();
    for (token, offset, length) in [(0, 16, 6), (1, 22, 1), (6, 23, 1)] {
        answer.extend([token, 0, offset, 0, length]);
    }
    answer.push(0xFF);
    answer.extend([&version[..], &encryption, &federated].concat());
    answer
}

/// The value of an option of the prelogin.
fn option(prelogin: &[u8], wanted: u8) -> Option<&[u8]> {
    let options = prelogin
        .chunks_exact(5)
        .take_while(|option| option[0] != 0xFF);
    let option = options.into_iter().find(|option| option[0] == wanted)?;
    let at = usize::from(u16::from_be_bytes([option[1], option[2]]));
    let length = usize::from(u16::from_be_bytes([option[3], option[4]]));
    prelogin.get(at..at + length)
}

fn read_login(login: &[u8], is_federated: bool) -> Login {
    let bytes = |entry: usize, width: usize| {
        let at = usize::from(u16::from_le_bytes([login[entry], login[entry + 1]]));
        let length = u16::from_le_bytes([login[entry + 2], login[entry + 3]]);
        login[at..at + usize::from(length) * width].to_vec()
    };
    let has_extension = login[27] & 0x10 != 0;
    Login {
        is_federated,
        user: from_utf16(&bytes(40, 2)),
        application: from_utf16(&bytes(48, 2)),
        server: from_utf16(&bytes(52, 2)),
        database: from_utf16(&bytes(68, 2)),
        token: has_extension.then(|| token(login, &bytes(56, 1))).flatten(),
        sspi: bytes(78, 1),
    }
}

/// FEDAUTH with a security token: options, length, UTF-16.
fn token(login: &[u8], place: &[u8]) -> Option<String> {
    let mut features = &login[u32_at(place)..];
    while features[0] != 0xFF {
        let length = u32_at(&features[1..]);
        let data = &features[5..5 + length];
        if features[0] == 2 {
            assert_eq!(
                data[0], 0x03,
                "a security token, and the server's wish echoed"
            );
            return Some(from_utf16(&data[5..5 + u32_at(&data[1..])]));
        }
        features = &features[5 + length..];
    }
    None
}

fn u32_at(bytes: &[u8]) -> usize {
    let four = bytes[..4].try_into().expect("4 octets");
    usize::try_from(u32::from_le_bytes(four)).expect("a length")
}

/// LOGINACK, where a token came FEATUREEXTACK, and DONE.
fn welcome(login: &Login) -> Vec<u8> {
    let name = utf16("Microsoft SQL Server");
    let mut ack = vec![1, 0x74, 0, 0, 4];
    ack.push(u8::try_from(name.len() / 2).expect("a short name"));
    ack.extend(name);
    ack.extend([16, 0, 0, 0]);
    let mut answer = vec![0xAD];
    answer.extend(u16_of(ack.len()));
    answer.extend(ack);
    if login.token.is_some() {
        answer.extend([0xAE, 2, 0, 0, 0, 0, 0xFF]);
    }
    answer.extend(done(0));
    answer
}

/// ENVCHANGE of type 20 (MS-TDS section 2.2.7.9).
fn route(host: &str, port: u16) -> Vec<u8> {
    let name = [&u16_of(host.encode_utf16().count())[..], &utf16(host)].concat();
    let value = [&[0][..], &port.to_le_bytes(), &name].concat();
    let body = [&[20][..], &u16_of(value.len()), &value, &[0, 0]].concat();
    [&[0xE3][..], &u16_of(body.len()), &body].concat()
}

fn error(number: u32, state: u8, text: &str) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.extend([state, 14]);
    body.extend(u16_of(text.encode_utf16().count()));
    body.extend(utf16(text));
    // No name of the server, none of a procedure, line 1.
    body.extend([0, 0, 1, 0, 0, 0]);
    let mut answer = vec![0xAA];
    answer.extend(u16_of(body.len()));
    answer.extend(body);
    answer.extend(done(2));
    answer
}

fn done(status: u8) -> Vec<u8> {
    let mut done = vec![0xFD, status];
    done.resize(13, 0);
    done
}

fn u16_of(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a length").to_le_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn from_utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2);
    let units: Vec<_> = units
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16(&units).expect("UTF-16")
}
