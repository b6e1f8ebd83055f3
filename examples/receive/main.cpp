// SPDX-License-Identifier: MIT

// Prints the messages of a queue until Ctrl-C.
//
//   receive [--url URL] [--queue NAME]

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
    options.setApplicationDescription(u"Prints the messages of a queue."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker."_s, u"URL"_s, u"amqp://guest:guest@localhost/%2F"_s});
    options.addOption({u"queue"_s, u"The queue, declared durable."_s, u"name"_s, u"hello"_s});
    options.process(application);
    QTextStream out(stdout);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Channel *channel = connection.createChannel();
    channel->setPrefetch(100);
    channel->declareQueue(options.value(u"queue"_s));
    AmqpQt::Consumer *consumer = channel->consume(options.value(u"queue"_s));

    QObject::connect(channel, &AmqpQt::Channel::queueDeclared, &application, [&](const AmqpQt::QueueInfo &queue) {
        out << queue.name << ": " << queue.messageCount << " messages are waiting" << Qt::endl;
    });
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &application, [&](const AmqpQt::Message &message) {
        out << message.text() << Qt::endl;
        message.ack();
    });
    AmqpQt::Error failure; // why the channel was closed, or the connection could not be opened
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        if (reason.isError())
            failure = reason;
        connection.close();
    });

    // Ctrl-C closes the connection. closed(), the last signal, is emitted when everything is settled.
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
