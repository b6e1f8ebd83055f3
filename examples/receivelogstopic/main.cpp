// SPDX-License-Identifier: MIT

// Topics, the subscribing half: prints the lines with matching topics until Ctrl-C.
//
//   receivelogstopic [--url URL] [--exchange NAME] PATTERN…

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QTextStream>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Prints the matching lines until Ctrl-C."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"exchange"_s, u"The exchange."_s, u"name"_s, u"topic_logs"_s});
    options.addPositionalArgument(
        u"patterns"_s, u"The patterns, in which * stands for one word, # for any number of words."_s, u"PATTERN…"_s);
    options.process(application);
    const QStringList patterns = options.positionalArguments();
    if (patterns.isEmpty())
        options.showHelp(1);
    const QString exchange = options.value(u"exchange"_s);
    QTextStream out(stdout);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareExchange(exchange, AmqpQt::ExchangeType::Topic);
    channel->declareTemporaryQueue(); // the broker names it, and deletes it with this connection
    for (const QString &pattern : patterns)
        channel->bindQueue({}, exchange, pattern);
    AmqpQt::Consumer *consumer = channel->consume({}, {.ackMode = AmqpQt::AckMode::NoAck});

    QObject::connect(consumer, &AmqpQt::Consumer::started, &application,
                     [&] { out << "Waiting for logs" << Qt::endl; });
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &application,
                     [&](const AmqpQt::Message &line) { out << line.routingKey() << ": " << line.text() << Qt::endl; });
    AmqpQt::Error failure; // why the channel was closed, or the connection could not be opened
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        if (reason.isError())
            failure = reason;
        connection.close();
    });

    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &connection, &AmqpQt::Connection::close);
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
