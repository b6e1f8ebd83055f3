// SPDX-License-Identifier: MIT

// Connects with TLS, describes the protection, and sends a message to itself.
//
//   tls [--url URL] [--authorities FILE] [--certificate FILE [--key FILE] | --pkcs12 FILE] [--external]
//
// Secrets on the command line would be visible to other users of the machine. The password and the passphrase of the
// key are therefore read from files, or else from the environment variables AMQP_PASSWORD and TLS_PASSPHRASE.

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>
#include <AmqpQt/Recovery>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QDateTime>
#include <QFile>
#include <QSslCertificate>
#include <QSslCipher>
#include <QTextStream>

using namespace Qt::StringLiterals;

namespace
{

void addOptions(QCommandLineParser &options)
{
    options.setApplicationDescription(u"Connects with TLS, and sends a message to itself."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker, without a password."_s, u"URL"_s, u"amqps://localhost/%2F"_s});
    options.addOption(
        {u"authorities"_s, u"Trusts only the authorities in this PEM file, not the system's."_s, u"file"_s});
    options.addOption({u"certificate"_s, u"The certificate of this client, a PEM file."_s, u"file"_s});
    options.addOption({u"key"_s, u"Its private key, a PEM file; by default in the certificate's file."_s, u"file"_s});
    options.addOption({u"pkcs12"_s, u"The certificate of this client and its key, a PKCS#12 file."_s, u"file"_s});
    options.addOption(
        {u"passphrase-file"_s, u"Contains the passphrase of the key; by default $TLS_PASSPHRASE."_s, u"file"_s});
    options.addOption({u"password-file"_s, u"Contains the password; by default $AMQP_PASSWORD."_s, u"file"_s});
    options.addOption({u"external"_s, u"Logs in with the certificate instead of a password."_s});
    options.addOption(
        {u"warn-days"_s, u"Warns so many days before the broker's certificate expires."_s, u"days"_s, u"30"_s});
}

int fail(const QString &text)
{
    QTextStream(stderr) << text << Qt::endl;
    return 1;
}

// Reads a secret from the file that the option names, or else from the environment variable.
bool readSecret(const QCommandLineParser &options, const QString &option, const char *variable, QString &secret)
{
    secret = qEnvironmentVariable(variable);
    if (!options.isSet(option))
        return true;
    QFile file(options.value(option));
    if (!file.open(QIODevice::ReadOnly)) {
        fail(u"cannot read %1: %2"_s.arg(file.fileName(), file.errorString()));
        return false;
    }
    secret = QString::fromUtf8(file.readLine());
    for (const QChar end : {u'\n', u'\r'}) { // also of a file with the line ends of Windows
        if (secret.endsWith(end))
            secret.chop(1);
    }
    return true;
}

void describe(const AmqpQt::Connection &connection, int warnDays)
{
    QTextStream out(stdout);
    const QSslCertificate certificate = connection.peerCertificate();
    const QDateTime expiry = certificate.expiryDate();
    out << connection.sessionCipher().protocolString() << ", " << connection.sessionCipher().name() << '\n'
        << "certificate of " << certificate.subjectInfo(QSslCertificate::CommonName).join(u", "_s) << ", issued by "
        << certificate.issuerInfo(QSslCertificate::CommonName).join(u", "_s) << ", expires on "
        << expiry.toUTC().toString(Qt::ISODate) << Qt::endl;
    const qint64 days = QDateTime::currentDateTimeUtc().daysTo(expiry);
    if (days < warnDays)
        out << "warning: the certificate of the broker expires in " << days << " days" << Qt::endl;
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    addOptions(options);
    options.process(application);
    const QUrl url(options.value(u"url"_s));
    if (!url.password().isEmpty())
        return fail(u"the URL contains a password; use --password-file or AMQP_PASSWORD instead"_s);
    const auto parsed = AmqpQt::ConnectionParameters::fromUrl(url);
    if (!parsed)
        return fail(parsed.error().toString());

    QString password;
    QString passphrase;
    if (!readSecret(options, u"password-file"_s, "AMQP_PASSWORD", password) ||
        !readSecret(options, u"passphrase-file"_s, "TLS_PASSPHRASE", passphrase))
        return 1;
    AmqpQt::ConnectionParameters parameters = *parsed;
    parameters.setRecoveryPolicy(AmqpQt::RecoveryPolicy().withEnabled(false)); // a failure ends the program
    parameters.setTlsRequired(true); // amqp:// instead of amqps:// is an error
    if (options.isSet(u"authorities"_s))
        parameters.trustOnly(options.value(u"authorities"_s));
    if (options.isSet(u"certificate"_s))
        parameters.setClientCertificate(options.value(u"certificate"_s), options.value(u"key"_s), passphrase);
    if (options.isSet(u"pkcs12"_s))
        parameters.setClientPkcs12(options.value(u"pkcs12"_s), passphrase);
    if (options.isSet(u"external"_s))
        parameters.setExternalAuthentication();
    else if (!password.isEmpty())
        parameters.setCredentials(parameters.userName(), password);
    AmqpQt::Connection connection(parameters);

    QObject::connect(&connection, &AmqpQt::Connection::opened, &application,
                     [&] { describe(connection, options.value(u"warn-days"_s).toInt()); });
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareTemporaryQueue().then(&application, [channel](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
        if (queue)
            channel->publish({}, queue->name, AmqpQt::Message::fromText(u"Hello, encrypted rabbit"));
    });
    AmqpQt::Consumer *consumer = channel->consume({}, {.ackMode = AmqpQt::AckMode::NoAck}); // the queue declared last
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &connection, [&](const AmqpQt::Message &message) {
        QTextStream(stdout) << "received: " << message.text() << Qt::endl;
        connection.close();
    });

    AmqpQt::Error failure; // why the broker closed the channel
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        failure = reason;
        connection.close();
    });
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            fail(why.toString());
        QCoreApplication::exit(why.isError() ? 1 : 0);
    });
    connection.open();
    return application.exec();
}
