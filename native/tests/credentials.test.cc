#include "credentials.h"

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base64.h"
#include "crypto.h"
#include "harness.h"
#include "password.h"
#include "token.h"

using namespace tenon;
using core::Base64;
using core::Crypto;
using core::PasswordHash;
using core::TokenIssuer;
using tests::bytes;

namespace {

// libcrypto of the system, for vectors; this program is not linked with it, and its other functions do not see it.
const Crypto* library() {
  static const std::optional<Crypto> crypto = [] {
    for (const char* name : {"libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib"}) {
      void* const opened = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
      if (opened != nullptr) return Crypto::of(opened);
    }
    return std::optional<Crypto>();
  }();
  if (!crypto) MESSAGE("no libcrypto here: not looked at");
  return crypto ? &*crypto : nullptr;
}

std::string hexadecimal(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    for (const int shift : {4, 0}) text.push_back("0123456789abcdef"[static_cast<unsigned char>(byte) >> shift & 15]);
  }
  return text;
}

std::string base64(std::string_view bytes, Base64 alphabet = Base64::Url) {
  std::string text;
  core::append_base64(bytes, alphabet, text);
  return text;
}

#if defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
constexpr int64_t kNow = 1'700'000'000;

}  // namespace

TEST_CASE("base64 is that of RFC 4648 without padding, and read back only as it was written") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},        {"f", "Zg"},        {"fo", "Zm8"},
                                                         {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"foobar", "Zm9vYmFy"}};
  std::string read;
  for (const auto& [plain, text] : vectors) {
    CHECK(base64(plain) == text);
    CHECK(core::read_base64(text, Base64::Url, read));
    CHECK(read == plain);
  }
  CHECK(base64("\xfb\xff") == "-_8");
  CHECK(base64("\xfb\xff", Base64::Standard) == "+/8");
  for (const char* wrong : {"Z", "Zg==", "Zh", "Zm9", "Zm9vY", "Zm 9", "+/8", "Zm\n9"}) {
    CHECK_FALSE(core::read_base64(wrong, Base64::Url, read));
  }
  CHECK_FALSE(core::read_base64("-_8", Base64::Standard, read));
}

TEST_CASE("scrypt is that of RFC 7914, HMAC that of RFC 4231") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  struct Vector {
    const char* password;
    const char* salt;
    uint64_t n;
    uint32_t r;
    uint32_t p;
    const char* key;
  };
  const Vector vectors[] = {{"", "", 16, 1, 1,
                             "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                             "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
                            {"password", "NaCl", 1024, 8, 16,
                             "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                             "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
                            {"pleaseletmein", "SodiumChloride", 16384, 8, 1,
                             "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                             "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"}};
  for (const Vector& vector : vectors) {
    std::string key(64, '\0');
    CHECK(crypto->scrypt(vector.password, vector.salt, vector.n, vector.r, vector.p, key.data(), key.size()) ==
          TENON_OK);
    CHECK(hexadecimal(key) == vector.key);
  }
  Crypto::Digest digest;
  CHECK(crypto->authenticate("Jefe", "what do ya want for nothing?", digest));
  CHECK(hexadecimal({digest.data(), digest.size()}) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(crypto->equal("same", "same"));
  CHECK_FALSE(crypto->equal("same", "sama"));
  CHECK_FALSE(crypto->equal("same", "sam"));
}

TEST_CASE("a password is known by its hash, and no other is") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  std::string text;
  CHECK(core::hash_password(*crypto, "open sesame", text) == TENON_OK);
  CHECK(text.size() == PasswordHash::kOwnTextBytes);
  CHECK(text.rfind("$scrypt$ln=15,r=8,p=1$", 0) == 0);
  std::string again;
  CHECK(core::hash_password(*crypto, "open sesame", again) == TENON_OK);
  CHECK(again != text);
  CHECK(core::verify_password(*crypto, "open sesame", text) == TENON_OK);
  const std::string too_long(PasswordHash::kPasswordBytes + 1, 'x');
  for (const std::string& wrong : {std::string("open sesamE"), std::string(), too_long}) {
    CHECK(core::verify_password(*crypto, wrong, text) == TENON_ERROR_DENIED);
  }
  CHECK(core::hash_password(*crypto, "", text) == TENON_ERROR_ARGUMENT);
  CHECK(core::hash_password(*crypto, too_long, text) == TENON_ERROR_ARGUMENT);
  // One byte more than can be a password is none, also when it begins like one.
  const std::string longest(PasswordHash::kPasswordBytes, 'x');
  CHECK(core::hash_password(*crypto, longest, text) == TENON_OK);
  CHECK(core::verify_password(*crypto, longest, text) == TENON_OK);
  CHECK(core::verify_password(*crypto, too_long, text) == TENON_ERROR_DENIED);
}

TEST_CASE("a hash is read strictly, and asks for no more than its share") {
  const std::string salt = base64("0123456789abcdef", Base64::Standard);
  const std::string key = base64(kKey, Base64::Standard);
  const std::string tail = "$" + salt + "$" + key;
  const std::string right = "$scrypt$ln=15,r=8,p=1" + tail;
  const auto parsed = PasswordHash::parse(right);
  REQUIRE(parsed);
  CHECK(parsed->text() == right);
  CHECK(PasswordHash::parse("$scrypt$ln=14,r=8,p=5" + tail));
  for (const char* parameters :
       {"ln=0,r=8,p=1", "ln=20,r=8,p=1", "ln=63,r=8,p=1", "ln=64,r=8,p=1", "ln=15,r=0,p=1", "ln=15,r=8,p=0",
        "ln=15,r=8,p=5", "ln=10,r=999,p=1", "ln=015,r=8,p=1", "ln=15,r=8", "r=8,p=1,ln=15", "ln=15,r=8,p=1,x=1",
        "ln=-1,r=8,p=1", "ln=15 ,r=8,p=1", "ln=9999999999999999999,r=8,p=1", "v=1$ln=15,r=8,p=1"}) {
    CAPTURE(parameters);
    CHECK_FALSE(PasswordHash::parse("$scrypt$" + std::string(parameters) + tail));
  }
  for (const std::string& wrong :
       {std::string(), std::string("$"), "$argon2id$ln=15,r=8,p=1" + tail, right + "=", right + "$", right.substr(1),
        right.substr(0, right.rfind('$')), "$scrypt$ln=15,r=8,p=1$$" + key, right + std::string(100, 'A')}) {
    CAPTURE(wrong);
    CHECK_FALSE(PasswordHash::parse(wrong));
  }
}

TEST_CASE("many who hash at once wait for each other") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  const std::string weak =
      "$scrypt$ln=10,r=8,p=1$" + base64("0123456789abcdef", Base64::Standard) + "$" + base64(kKey, Base64::Standard);
  std::atomic<int> denied{0};
  std::vector<std::thread> threads;
  for (int count = 0; count < 16; count++) {
    threads.emplace_back([&] {
      if (core::verify_password(*crypto, "x", weak) == TENON_ERROR_DENIED) denied++;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(denied == 16);
}

TEST_CASE("a password that is not hashed says why: there is no memory, or this OpenSSL does not do it") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  std::string text;
  CHECK(core::hash_password(*crypto, "open sesame", text) == TENON_OK);
  std::string key(32, '\0');
  // N is no power of two: OpenSSL refuses, and it is not for want of memory.
  CHECK(crypto->scrypt("x", "salt", 1000, 8, 1, key.data(), key.size()) == TENON_ERROR_UNSUPPORTED);
  // More than any machine has; sanitizers would end the process.
  if (!kSanitized) {
    CHECK(crypto->scrypt("x", "salt", uint64_t{1} << 40, 8, 1, key.data(), key.size()) == TENON_ERROR_MEMORY);
  }
  CHECK(core::verify_password(*crypto, "open sesame", text) == TENON_OK);
}

TEST_CASE("the signature is that of RFC 7515, A.1") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  std::string key;
  CHECK(core::read_base64("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
                          Base64::Url, key));
  std::string signature;
  CHECK(TokenIssuer::append_signature(
      *crypto, key,
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
      signature));
  CHECK(signature == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

TEST_CASE("a token carries its claims, with issuer and times of the host's") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  const TokenIssuer issuer(*crypto, kKey, "auth");
  std::string token;
  std::string claims;
  CHECK(issuer.sign(R"({"sub": "ada", "exp": 1, "i\u0073s": "me", "list": [1, "a b"]})", kNow, 60, token) == TENON_OK);
  CHECK(token.rfind("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", 0) == 0);
  CHECK(issuer.verify(token, kNow, claims) == TENON_OK);
  CHECK(claims == R"({"iss":"auth","iat":1700000000,"exp":1700000060,"sub":"ada","list":[1,"a b"]})");
  CHECK(issuer.verify(token, kNow + 89, claims) == TENON_OK);
  CHECK(issuer.verify(token, kNow + 90, claims) == TENON_ERROR_DENIED);
  CHECK(issuer.verify(token, kNow - 30, claims) == TENON_OK);
  CHECK(issuer.verify(token, kNow - 31, claims) == TENON_ERROR_DENIED);
  CHECK(issuer.sign("{}", kNow, TokenIssuer::kMostLifetime, token) == TENON_OK);
  CHECK(issuer.verify(token, kNow, claims) == TENON_OK);
  for (const std::string& wrong : {std::string(), std::string("[]"), std::string("{\"a\":1"), std::string("{} x"),
                                   std::string(R"({"a":1,"\u0061":2})"), std::string("null"),
                                   "{\"a\":\"" + std::string(TokenIssuer::kClaimsBytes, 'x') + "\"}"}) {
    CHECK(issuer.sign(wrong, kNow, 60, token) == TENON_ERROR_ARGUMENT);
  }
  CHECK(issuer.sign("{}", kNow, 0, token) == TENON_ERROR_ARGUMENT);
  CHECK(issuer.sign("{}", kNow, TokenIssuer::kMostLifetime + 1, token) == TENON_ERROR_ARGUMENT);
}

TEST_CASE("a token of another key, header, issuer or shape is denied") {
  const Crypto* const crypto = library();
  if (crypto == nullptr) return;
  const TokenIssuer issuer(*crypto, kKey, "auth");
  std::string token;
  std::string claims = "untouched";
  CHECK(issuer.sign(R"({"sub":"ada"})", kNow, 60, token) == TENON_OK);
  const std::string signed_part = token.substr(0, token.rfind('.'));
  const std::string payload = signed_part.substr(signed_part.find('.') + 1);
  const auto sealed = [&](const std::string& text) {
    std::string signature;
    TokenIssuer::append_signature(*crypto, kKey, text, signature);
    return text + "." + signature;
  };
  const std::string header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";
  const std::vector<std::string> wrong = {
      "",
      ".",
      "..",
      signed_part,
      signed_part + ".",
      token + ".",
      token + "=",
      token.substr(0, token.size() - 1),
      "x" + token,
      sealed(base64(R"({"alg":"none","typ":"JWT"})") + "." + payload),
      base64(R"({"alg":"none","typ":"JWT"})") + "." + payload + ".",
      sealed(base64(R"({"typ":"JWT","alg":"HS256"})") + "." + payload),
      sealed(header + base64(R"({"iss":"other","iat":1700000000,"exp":1700000060})")),
      sealed(header + base64(R"({"iss":"auth","iat":1700000000})")),
      sealed(header + base64(R"({"iss":"auth","exp":1700000060})")),
      sealed(header + base64(R"({"iss":"auth","iat":1700000000,"exp":"1700000060"})")),
      sealed(header + base64(R"({"iss":"auth","iat":1700000000,"exp":1.8e9})")),
      sealed(header + base64(R"({"iss":"auth","iat":1700000000,"exp":1700000060,"exp":1700000061})")),
      sealed(header + base64("[]")),
      sealed(header + "e30="),
      std::string(TokenIssuer::kTokenBytes + 1, 'a'),
  };
  for (const std::string& one : wrong) {
    CAPTURE(one);
    CHECK(issuer.verify(one, kNow, claims) == TENON_ERROR_DENIED);
  }
  for (size_t at = 0; at < token.size(); at++) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    CHECK(issuer.verify(changed, kNow, claims) == TENON_ERROR_DENIED);
  }
  CHECK(TokenIssuer(*crypto, "another key", "auth").verify(token, kNow, claims) == TENON_ERROR_DENIED);
  CHECK(TokenIssuer(*crypto, kKey, "other").verify(token, kNow, claims) == TENON_ERROR_DENIED);
  CHECK(claims == "untouched");
}

TEST_CASE("a process without OpenSSL says that it does not do that") {
  if (Crypto::find() != nullptr) return;
  tests::FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(1);
  tests::PluginUnderTest code;
  const auto generation = front.bring_up(plugin, code, 1);
  const auto* const auth = static_cast<const tenon_host_auth_t*>(code.host->get_extension(code.host, TENON_AUTH_ID));
  REQUIRE(auth != nullptr);
  char buffer[256];
  size_t size = 0;
  CHECK(auth->hash_password(code.host, bytes("x"), buffer, sizeof buffer, &size) == TENON_ERROR_UNSUPPORTED);
  CHECK(auth->verify_password(code.host, bytes("x"), bytes("y")) == TENON_ERROR_UNSUPPORTED);
  CHECK(auth->sign_token(code.host, bytes("{}"), 60, buffer, sizeof buffer, &size) == TENON_ERROR_UNSUPPORTED);
  CHECK(auth->verify_token(code.host, bytes("a.b.c"), buffer, sizeof buffer, &size) == TENON_ERROR_UNSUPPORTED);
  CHECK(auth->random(code.host, buffer, sizeof buffer) == TENON_ERROR_UNSUPPORTED);
  const tenon_host_t* const host = code.host;
  CHECK(front.take_down(generation));
  CHECK(auth->random(host, buffer, sizeof buffer) == TENON_ERROR_STATE);
}
