// SPDX-License-Identifier: MIT
#include "transport/tlsoptions_p.h"

#include <QtCore/qbuffer.h>
#include <QtCore/qfile.h>
#include <QtCore/qscopeguard.h>
#include <QtCore/qthread.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtNetwork/qsslkey.h>
#include <QtNetwork/qsslsocket.h>

#include <algorithm>
#include <memory>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

Error tlsError(const QString &text)
{
    return Error(ErrorKind::Tls, text);
}

// OpenSSL adds the errors of a failed decoding to a queue of the thread. QSslSocket does not clear the queue before it
// reads, and takes these errors for its own, on any connection of the thread. In a thread that only decodes, the queue
// ends with the thread. (Decoding takes longer than starting a thread, and does not wait for anything else.)
template <typename Decode>
void decodeInOwnThread(Decode decode)
{
    const std::unique_ptr<QThread> thread(QThread::create(std::move(decode)));
    thread->start();
    thread->wait();
}

// A copy of the passphrase for Qt's functions, which is wiped as well.
class PassphraseCopy
{
public:
    explicit PassphraseCopy(const Secret &secret)
        : m_bytes(secret.bytes().data(), secret.bytes().size())
    {
    }
    ~PassphraseCopy() { Secret::wipe(const_cast<char *>(m_bytes.constData()), m_bytes.size()); }
    Q_DISABLE_COPY_MOVE(PassphraseCopy)

    const QByteArray &bytes() const noexcept { return m_bytes; }

private:
    QByteArray m_bytes;
};

Result<QByteArray> readFile(const QString &fileName, const QString &purpose)
{
    QFile file(fileName);
    if (!file.open(QIODevice::ReadOnly | QIODevice::Unbuffered)) // the buffer would be another copy of a private key
        return tlsError(u"cannot read %1 \"%2\": %3"_s.arg(purpose, fileName, file.errorString()));
    QByteArray bytes = file.readAll();
    if (file.error() != QFileDevice::NoError)
        return tlsError(u"cannot read %1 \"%2\": %3"_s.arg(purpose, fileName, file.errorString()));
    return bytes;
}

bool isDer(const QByteArray &bytes)
{
    return bytes.startsWith('\x30'); // SEQUENCE
}

Result<QList<QSslCertificate>> readCertificates(const QString &fileName, const QString &purpose)
{
    const Result<QByteArray> bytes = readFile(fileName, purpose);
    if (!bytes)
        return bytes.error();
    QList<QSslCertificate> certificates;
    decodeInOwnThread([&] { certificates = QSslCertificate::fromData(*bytes, QSsl::Pem); });
    certificates.removeIf([](const QSslCertificate &certificate) { return certificate.isNull(); });
    if (!certificates.isEmpty())
        return certificates;
    QString text = u"%1 \"%2\" contains no certificate in PEM format"_s.arg(purpose, fileName);
    if (isDer(*bytes))
        text += u"; \"openssl x509 -inform der\" converts a certificate from DER to PEM"_s;
    return tlsError(text);
}

Result<QSslKey> readKey(const QString &fileName, const Secret &passphrase)
{
    Result<QByteArray> contents = readFile(fileName, u"the private key"_s);
    if (!contents)
        return contents.error();
    QByteArray bytes = *std::move(contents);
    const auto wipe = qScopeGuard([&bytes] { Secret::wipe(bytes); }); // the key may not be encrypted
    const PassphraseCopy copy(passphrase);
    QSslKey key;
    decodeInOwnThread([&] {
        for (const QSsl::KeyAlgorithm algorithm : {QSsl::Rsa, QSsl::Ec, QSsl::Dsa}) {
            if (key.isNull())
                key = QSslKey(bytes, algorithm, QSsl::Pem, QSsl::PrivateKey, copy.bytes());
        }
    });
    if (!key.isNull())
        return key;
    if (!bytes.contains("PRIVATE KEY-----"))
        return tlsError(u"the file \"%1\" contains no private key in PEM format"_s.arg(fileName));
    if (bytes.contains("ENCRYPTED")) {
        return tlsError(passphrase.bytes().isEmpty()
                            ? u"the private key \"%1\" is encrypted and requires a passphrase"_s.arg(fileName)
                            : u"the private key \"%1\" cannot be decrypted with this passphrase"_s.arg(fileName));
    }
    return tlsError(u"the private key \"%1\" is damaged or of a type that Qt does not support; RSA and EC keys are "
                    "supported"_s.arg(fileName));
}

// Whether a part of the PKCS#12 file is encrypted with RC2 or RC4, as older versions of OpenSSL, Windows and Java do.
// The object identifiers of these algorithms (1.2.840.113549.1.12.1.N) are not encrypted themselves.
bool hasOldEncryption(const QByteArray &bytes)
{
    const QByteArray prefix("\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01", 11);
    constexpr char Algorithms[] = {1, 2, 5, 6};
    return std::any_of(std::begin(Algorithms), std::end(Algorithms),
                       [&](char algorithm) { return bytes.contains(prefix + algorithm); });
}

Error pkcs12Error(const QString &fileName, const QByteArray &bytes, const Secret &passphrase)
{
    if (!isDer(bytes)) {
        QString text = u"the file \"%1\" is not in PKCS#12 format"_s.arg(fileName);
        if (bytes.contains("-----BEGIN"))
            text += u"; ConnectionParameters::setClientCertificate() reads files in PEM format"_s;
        return tlsError(text);
    }
    if (hasOldEncryption(bytes)) {
        return tlsError(u"the PKCS#12 file \"%1\" cannot be read: it is encrypted with RC2 or RC4, which OpenSSL 3 no "
                        "longer supports, or the passphrase is wrong; convert it with \"openssl pkcs12 -legacy -in %1 "
                        "-out client.pem\" and \"openssl pkcs12 -export -in client.pem -out new.p12\""_s.arg(fileName));
    }
    const QString text =
        passphrase.bytes().isEmpty()
            ? u"the PKCS#12 file \"%1\" cannot be read; it is damaged, or encrypted and requires a passphrase"_s
            : u"the PKCS#12 file \"%1\" cannot be read; it is damaged, or the passphrase is wrong"_s;
    return tlsError(text.arg(fileName));
}

Error addPkcs12(QSslConfiguration &configuration, const TlsOptions &options)
{
    const QString &fileName = options.certificateFile;
    const Result<QByteArray> bytes = readFile(fileName, u"the PKCS#12 file"_s);
    if (!bytes)
        return bytes.error();
    QBuffer buffer;
    buffer.setData(*bytes);
    buffer.open(QIODevice::ReadOnly);
    const PassphraseCopy copy(options.passphrase);
    QSslKey key;
    QSslCertificate certificate;
    QList<QSslCertificate> issuers;
    bool isImported = false;
    decodeInOwnThread(
        [&] { isImported = QSslCertificate::importPkcs12(&buffer, &key, &certificate, &issuers, copy.bytes()); });
    if (!isImported)
        return pkcs12Error(fileName, *bytes, options.passphrase);
    configuration.setLocalCertificateChain(QList<QSslCertificate>{certificate} + issuers);
    configuration.setPrivateKey(key);
    return {};
}

Error addCertificate(QSslConfiguration &configuration, const TlsOptions &options)
{
    if (options.isPkcs12)
        return addPkcs12(configuration, options);
    const auto chain = readCertificates(options.certificateFile, u"the client certificate"_s);
    if (!chain)
        return chain.error();
    const Result<QSslKey> key =
        readKey(options.keyFile.isEmpty() ? options.certificateFile : options.keyFile, options.passphrase);
    if (!key)
        return key.error();
    configuration.setLocalCertificateChain(*chain);
    configuration.setPrivateKey(*key);
    return {};
}

bool isSecure(QSsl::SslProtocol protocol)
{
    return protocol == QSsl::TlsV1_2 || protocol == QSsl::TlsV1_2OrLater || protocol == QSsl::TlsV1_3 ||
           protocol == QSsl::TlsV1_3OrLater;
}

} // namespace

Result<QSslConfiguration> tlsConfiguration(const TlsOptions &options)
{
    QSslConfiguration configuration = options.configuration.value_or(QSslConfiguration::defaultConfiguration());
    if (!options.configuration)
        configuration.setPeerVerifyMode(QSslSocket::VerifyPeer);
    if (!isSecure(configuration.protocol()))
        configuration.setProtocol(QSsl::TlsV1_2OrLater);

    QList<QSslCertificate> authorities;
    for (const QString &fileName : options.authorityFiles) {
        const auto certificates = readCertificates(fileName, u"the file of certificate authorities"_s);
        if (!certificates)
            return certificates.error();
        authorities += *certificates;
    }
    // Setting certificates, even an empty list, disables the on-demand loading of the system's authorities, and so does
    // adding a list; adding a file does not.
    if (!options.trustsSystem) {
        configuration.setCaCertificates(authorities);
    } else {
        for (const QString &fileName : options.authorityFiles)
            decodeInOwnThread([&] { configuration.addCaCertificates(fileName, QSsl::Pem); });
    }

    if (!options.certificateFile.isEmpty()) {
        if (const Error error = addCertificate(configuration, options); error.isError())
            return error;
    }
    return configuration;
}

} // namespace AmqpQt
