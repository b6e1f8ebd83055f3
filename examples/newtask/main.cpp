// SPDX-License-Identifier: MIT

// Work queues, the sending half: puts a task into a queue that workers share. Each full stop in the text stands for a
// second of work.
//
//   newtask [--url URL] [--queue NAME] TEXT…

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
    options.setApplicationDescription(u"Puts a task into a queue that workers share."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"queue"_s, u"The queue, declared durable."_s, u"name"_s, u"task_queue"_s});
    options.addPositionalArgument(u"text"_s, u"The task; each full stop stands for a second of work."_s, u"TEXT…"_s);
    options.process(application);
    const QString queue = options.value(u"queue"_s);
    const QString task = options.positionalArguments().join(u' ');

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::ConnectionParameters parameters = connection.parameters();
    parameters.setRecoveryPolicy(AmqpQt::RecoveryPolicy().withEnabled(false)); // a failure ends the program
    connection.setParameters(parameters);
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareQueue(queue);
    // By default the queue is durable and the message persistent, so no task is lost when the broker restarts.
    channel->publish({}, queue, AmqpQt::Message::fromText(task));
    connection.open();

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
