// SPDX-License-Identifier: MIT

// Routing, the publishing half: sends a line with a severity.
//
//   emitlogdirect [--url URL] [--exchange NAME] SEVERITY TEXT…

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
    options.setApplicationDescription(u"Sends a line with a severity."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"exchange"_s, u"The exchange."_s, u"name"_s, u"direct_logs"_s});
    options.addPositionalArgument(u"severity"_s, u"The severity, such as error."_s, u"SEVERITY"_s);
    options.addPositionalArgument(u"text"_s, u"The line."_s, u"TEXT…"_s);
    options.process(application);
    QStringList arguments = options.positionalArguments();
    if (arguments.size() < 2)
        options.showHelp(1);
    const QString severity = arguments.takeFirst();
    const QString exchange = options.value(u"exchange"_s);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::ConnectionParameters parameters = connection.parameters();
    parameters.setRecoveryPolicy(AmqpQt::RecoveryPolicy().withEnabled(false)); // a failure ends the program
    connection.setParameters(parameters);
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareExchange(exchange, AmqpQt::ExchangeType::Direct);
    // A direct exchange routes the message to the queues that are bound with its routing key, the severity.
    channel->publish(exchange, severity, AmqpQt::Message::fromText(arguments.join(u' ')));
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
