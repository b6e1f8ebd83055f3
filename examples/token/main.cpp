// SPDX-License-Identifier: MIT

// Connects with a token that expires, and renews it before it does, without closing the connection.
//
//   token [--url URL] [--endpoint URL] [--user NAME] [--life SECONDS] [--renewals COUNT]
//
// With a token endpoint, such as that of an identity provider that RabbitMQ trusts (rabbitmq_auth_backend_oauth2), the
// client id and secret are read from the environment variables TOKEN_CLIENT_ID and TOKEN_CLIENT_SECRET. Otherwise the
// program has its own endpoint, whose "token" is the default password of guest.

#include "tokenendpoint.h"
#include "tokensource.h"

#include "../shared/quitsignals.h"

#include <AmqpQt/Connection>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QMetaEnum>
#include <QTextStream>
#include <QTimer>

#include <limits>

using namespace Qt::StringLiterals;

// Reads a whole number; without a valid one, prints an error and returns -1.
static qint64 number(const QCommandLineParser &options, const QString &name, const QString &what, qint64 minimum,
                     qint64 maximum)
{
    bool isNumber = false;
    const qint64 value = options.value(name).toLongLong(&isNumber);
    if (isNumber && value >= minimum && value <= maximum)
        return value;
    QTextStream(stderr) << "--" << name << ": \"" << options.value(name) << "\" is not " << what << " from " << minimum
                        << " to " << maximum << Qt::endl;
    return -1;
}

int main(int argc, char *argv[])
{
    constexpr std::chrono::milliseconds RetryDelay{2000};
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Connects with a token and renews it."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker, without credentials."_s, u"URL"_s, u"amqp://localhost/%2F"_s});
    options.addOption({u"endpoint"_s, u"A token endpoint; by default the program's own."_s, u"URL"_s});
    options.addOption({u"user"_s, u"The user name that is sent with the token."_s, u"name"_s, u"guest"_s});
    options.addOption(
        {u"life"_s, u"How long tokens of the program's own endpoint are valid."_s, u"seconds"_s, u"60"_s});
    options.addOption({u"renewals"_s, u"Ends after so many renewals."_s, u"count"_s, u"0"_s});
    options.process(application);
    QTextStream out(stdout);

    constexpr qint64 LongestLife = 100LL * 365 * 24 * 3600;
    const qint64 life = number(options, u"life"_s, u"a number of seconds"_s, 1, LongestLife);
    const qint64 wantedRenewals = number(options, u"renewals"_s, u"a number"_s, 0, std::numeric_limits<int>::max());
    if (life < 0 || wantedRenewals < 0)
        return 1;

    const TokenEndpoint ownEndpoint(u"guest"_s, std::chrono::seconds(life));
    TokenSource tokens(options.isSet(u"endpoint"_s) ? QUrl(options.value(u"endpoint"_s)) : ownEndpoint.url(),
                       qEnvironmentVariable("TOKEN_CLIENT_ID"), qEnvironmentVariable("TOKEN_CLIENT_SECRET"));

    const auto parsed = AmqpQt::ConnectionParameters::fromUrl(QUrl(options.value(u"url"_s)));
    if (!parsed) {
        QTextStream(stderr) << parsed.error().toString() << Qt::endl;
        return 1;
    }
    AmqpQt::ConnectionParameters parameters = *parsed;
    parameters.setCredentials(options.value(u"user"_s), {}); // without a password, so the connection asks for it
    parameters.setEraseOnConnect(true);                      // a token is fetched again for each attempt
    AmqpQt::Connection connection(parameters);

    // The connection asks before it connects, after a refusal, and before the token expires.
    qint64 renewals = 0;
    QObject::connect(
        &connection, &AmqpQt::Connection::credentialsRequested, &tokens,
        [&](AmqpQt::Connection::CredentialReason reason) {
            out << "fetching a token: "
                << QMetaEnum::fromType<AmqpQt::Connection::CredentialReason>().valueToKey(int(reason)) << Qt::endl;
            const bool isRefused = reason == AmqpQt::Connection::CredentialReason::Refused;
            QTimer::singleShot(isRefused ? RetryDelay : std::chrono::milliseconds(0), &tokens, &TokenSource::fetch);
        });
    QObject::connect(
        &tokens, &TokenSource::fetched, &connection, [&](const QString &token, std::chrono::seconds validFor) {
            const bool isRenewal = connection.isOpen();
            connection.setCredentials(options.value(u"user"_s), token, validFor)
                .then(&connection, [&, isRenewal](const AmqpQt::Result<void> &result) { // the broker has answered
                    if (!isRenewal || !result)
                        return;
                    out << "the token was renewed" << Qt::endl;
                    if (++renewals == wantedRenewals)
                        connection.close();
                });
        });
    // Until the token expires, the connection stays open without a new one, so there is time for further attempts.
    QObject::connect(&tokens, &TokenSource::failed, &connection, [&](const QString &reason) {
        QTextStream(stderr) << "no token: " << reason << Qt::endl;
        QTimer::singleShot(RetryDelay, &tokens, &TokenSource::fetch);
    });
    QObject::connect(&connection, &AmqpQt::Connection::opened, &application, [&] { out << "open" << Qt::endl; });

    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &connection, &AmqpQt::Connection::close);
    AmqpQt::Error failure; // why the connection could not be opened
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        QCoreApplication::exit(why.isError() ? 1 : 0);
    });
    // A broker that cannot be reached at the start ends the program. After a later loss the connection recovers.
    connection.open().then(&connection, [&](const AmqpQt::Result<void> &opened) {
        if (opened || connection.state() != AmqpQt::Connection::State::Recovering)
            return;
        failure = opened.error();
        connection.close();
    });
    return application.exec();
}
