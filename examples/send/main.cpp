// SPDX-License-Identifier: MIT

// Publishes one message to a queue and ends.
//
//   send [--url URL] [--queue NAME] TEXT…

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
    options.setApplicationDescription(u"Publishes one message to a queue."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker."_s, u"URL"_s, u"amqp://guest:guest@localhost/%2F"_s});
    options.addOption({u"queue"_s, u"The queue, declared durable."_s, u"name"_s, u"hello"_s});
    options.addPositionalArgument(u"text"_s, u"The message."_s, u"TEXT…"_s);
    options.process(application);
    const QString queue = options.value(u"queue"_s);
    const QString text = options.positionalArguments().join(u' ');

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::ConnectionParameters parameters = connection.parameters();
    parameters.setRecoveryPolicy(AmqpQt::RecoveryPolicy().withEnabled(false)); // a failure ends the program
    connection.setParameters(parameters);
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareQueue(queue);
    channel->publish({}, queue, AmqpQt::Message::fromText(text)); // the default exchange routes by queue name
    connection.open(); // everything above is sent, in that order, once the connection is open

    // close() sends everything that was accepted before.
    QObject::connect(channel, &AmqpQt::Channel::queueDeclared, &connection, &AmqpQt::Connection::close);
    QObject::connect(channel, &AmqpQt::Channel::errorOccurred, &connection, &AmqpQt::Connection::close);
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [](const AmqpQt::Error &reason) {
        if (reason.isError())
            QTextStream(stderr) << reason.toString() << Qt::endl;
        QCoreApplication::exit(reason.isError() ? 1 : 0);
    });
    return application.exec();
}
