// SPDX-License-Identifier: MIT
#include "support/certificates.h"

#include <QtCore/qfile.h>
#include <QtCore/qprocess.h>
#include <QtCore/qtemporarydir.h>

using namespace Qt::StringLiterals;

namespace
{

class CreatedCertificates
{
public:
    CreatedCertificates()
    {
        QProcess process;
        process.setProcessChannelMode(QProcess::ForwardedErrorChannel);
        process.start(QStringLiteral(AMQPQT_SOURCE_DIR "/tools/certificates"), {m_directory.path()});
        if (!process.waitForFinished(120'000) || process.exitStatus() != QProcess::NormalExit || process.exitCode())
            qFatal("tools/certificates failed: %s", qPrintable(process.errorString()));
    }

    QString path() const { return m_directory.path(); }

private:
    QTemporaryDir m_directory;
};

QByteArray read(const QString &fileName)
{
    QFile file(certificateFile(fileName));
    if (!file.open(QFile::ReadOnly))
        qFatal("Cannot read %s: %s", qPrintable(file.fileName()), qPrintable(file.errorString()));
    return file.readAll();
}

} // namespace

QString certificatesDirectory()
{
    const QString ofBroker = qEnvironmentVariable("AMQPQT_TEST_CERTIFICATES");
    if (!ofBroker.isEmpty())
        return ofBroker;
    static const CreatedCertificates certificates;
    return certificates.path();
}

QString certificateFile(const QString &fileName)
{
    return certificatesDirectory() + u'/' + fileName;
}

QSslCertificate readCertificate(const QString &name)
{
    return readCertificateChain(name).constFirst();
}

QList<QSslCertificate> readCertificateChain(const QString &name)
{
    const QList<QSslCertificate> chain = QSslCertificate::fromData(read(name + u".pem"_s));
    if (chain.isEmpty())
        qFatal("%s.pem has no certificate, or Qt has no support for TLS", qPrintable(name));
    return chain;
}

QSslKey readCertificateKey(const QString &name)
{
    const QByteArray encoded = read(name + u".key"_s);
    for (const QSsl::KeyAlgorithm algorithm : {QSsl::Ec, QSsl::Rsa}) {
        const QSslKey key(encoded, algorithm);
        if (!key.isNull())
            return key;
    }
    qFatal("%s.key has no key, or Qt has no support for TLS", qPrintable(name));
}

QByteArray certificatePassphrase()
{
    return read(u"passphrase"_s).trimmed();
}
