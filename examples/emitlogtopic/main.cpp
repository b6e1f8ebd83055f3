// SPDX-License-Identifier: MIT

// Topics, the publishing half: sends a line with a topic.
//
//   emitlogtopic [--url URL] [--exchange NAME] TOPIC TEXT…

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Recovery>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QTextStream>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Sends a line with a topic."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"exchange"_s, u"The exchange."_s, u"name"_s, u"topic_logs"_s});
    options.addPositionalArgument(
        u"topic"_s, u"The topic: words with full stops between them, such as kern.critical."_s, u"TOPIC"_s);
    options.addPositionalArgument(u"text"_s, u"The line."_s, u"TEXT…"_s);
    options.process(application);
    QStringList arguments = options.positionalArguments();
    if (arguments.size() < 2)
        options.showHelp(1);
    const QString topic = arguments.takeFirst();
    const QString exchange = options.value(u"exchange"_s);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::ConnectionParameters parameters = connection.parameters();
    parameters.setRecoveryPolicy(AmqpQt::RecoveryPolicy().withEnabled(false)); // a failure ends the program
    connection.setParameters(parameters);
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareExchange(exchange, AmqpQt::ExchangeType::Topic);
    // A topic exchange compares the routing key with the patterns of its bindings.
    channel->publish(exchange, topic, AmqpQt::Message::fromText(arguments.join(u' ')));
    connection.open();

    // close() sends everything that was accepted before.
    QObject::connect(channel, &AmqpQt::Channel::exchangeDeclared, &connection, &AmqpQt::Connection::close);
    QObject::connect(channel, &AmqpQt::Channel::errorOccurred, &connection, &AmqpQt::Connection::close);
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [](const AmqpQt::Error &reason) {
        if (reason.isError())
            QTextStream(stderr) << reason.toString() << Qt::endl;
        QCoreApplication::exit(reason.isError() ? 1 : 0);
    });
    return application.exec();
}
